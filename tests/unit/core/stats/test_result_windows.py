"""Windows of results: each result once, in the order of time, whatever the timestamps are."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from goloagent.core.record import Record
from goloagent.core.stats.hdr import decode
from goloagent.core.stats.result_windows import ResultWindows
from goloagent.core.timeline import Window

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)


def record(text: str, status: int = 200, duration: int = 1_000_000) -> Record:
    """Return a result with a timestamp."""
    return Record(Raw(f'"{text}"'.encode()), status=status, size=10, duration=duration)


def at(seconds: float) -> Record:
    """Return a result of a time after the start."""
    return record((START + timedelta(seconds=seconds)).isoformat())


def windows_of(records: list[Record], until: float = float("inf")) -> list[Window]:
    """Return the windows of results."""
    windows = ResultWindows(START, until=until)
    return [*windows.add(records), *windows.close()]


def test_seconds() -> None:
    """A second without results has no window, and the next one begins where the last ended."""
    found = windows_of([at(0.1), at(0.2), at(1.5), at(4.5)])
    assert [(one.at, one.seconds, one.results) for one in found] == [
        (0.0, 1.0, 2),
        (1.0, 1.0, 1),
        (2.0, 3.0, 1),
    ]


def test_counts() -> None:
    """Errors, bytes and durations are those of the results."""
    bad = Record(Raw(b'"2026-01-02T03:04:05Z"'), status=200, size=-1, error="lost")
    (found,) = windows_of([at(0.1), record("2026-01-02T03:04:05Z", 500), bad])
    assert (found.results, found.errors, found.bytes) == (3, 2, 20)
    assert decode(found.duration.histogram).count == 3


def test_offsets_are_one_time() -> None:
    """Timestamps of all zones are compared by the time that they mean."""
    local = ["2026-01-02T03:04:08.1234567Z", "2026-01-02T05:04:08+02:00"]
    texts = [*local, "2026-01-01T22:04:08.5-05:00"]
    found = windows_of([record(text) for text in texts])
    assert [one.results for one in found] == [3]


def test_a_wrong_clock() -> None:
    """A time before the start, of no calendar or far in the future moves no window."""
    strange = ["0000-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59"]
    found = windows_of([at(1.0), *map(record, strange), at(2.0)], until=10.0)
    assert sum(one.results for one in found) == 5
    assert found[-1].at + found[-1].seconds <= 11.0


@given(st.lists(st.floats(-10, 100), max_size=50), st.lists(st.integers(0, 50), max_size=3))
def test_each_result_once(times: list[float], cuts: list[int]) -> None:
    """Windows follow each other, and have all results, also if these come in parts."""
    records = [at(one) for one in times]
    whole = windows_of(records)
    windows, parts, before = ResultWindows(START), [], 0
    for cut in (*sorted(cuts), len(records)):
        parts += windows.add(records[before:cut])
        before = max(before, min(cut, len(records)))
    assert [*parts, *windows.close()] == whole
    assert sum(one.results for one in whole) == len(times)
    ends = [0.0, *(round(one.at + one.seconds, 3) for one in whole)]
    assert [one.at for one in whole] == ends[:-1]
    assert ends == sorted(set(ends))
