"""The timeline: windows are merged without loss of a count, and read back up to what is damaged."""

from __future__ import annotations

import csv
import functools
from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goloagent.core.stats.histogram import Histogram
from goloagent.core.timeline import (
    VERSION,
    Line,
    Times,
    Window,
    decode_line,
    encode_line,
    merge,
    thin,
    to_csv,
)


def times(*nanoseconds: int) -> Times:
    """Return the percentiles of durations."""
    histogram = Histogram()
    histogram.record(nanoseconds)
    return Times.of(histogram)


def window(at: float, *durations: int, **members: object) -> Window:
    """Return a window of one second."""
    return Window(at, 1.0, results=len(durations), duration=times(*durations), **members)  # type: ignore[arg-type]


@given(st.lists(st.lists(st.integers(0, 2**40), max_size=5), min_size=1, max_size=9))
def test_thinning_keeps_every_value(seconds: list[list[int]]) -> None:
    """Windows that are merged in any order have the same counts, and the same percentiles."""
    windows = [window(at, *values, started=at) for at, values in enumerate(seconds)]
    whole = functools.reduce(merge, windows)
    thinned, target = windows, 1
    while len(thinned) > 1:
        target *= 2
        thinned = list(thin(thinned, target))
        assert len(thinned) == -(-len(windows) // target)
    assert thinned == [whole]
    assert whole.seconds == len(seconds)
    assert whole.started == sum(range(len(seconds)))
    everything = times(*(value for values in seconds for value in values))
    assert (whole.duration.p95, whole.results) == (
        pytest.approx(everything.p95, rel=0.002),
        sum(map(len, seconds)),
    )


def test_levels_and_causes_of_a_merged_window() -> None:
    """Levels are those at its end; the most in flight and the causes are of both."""
    first = window(0, planned=10, in_flight=9, max_in_flight=12, limited=("loop-lag",))
    second = window(1, planned=20, in_flight=5, max_in_flight=6, limited=("agent-cpu", "loop-lag"))
    merged = merge(first, second)
    assert (merged.planned, merged.in_flight, merged.max_in_flight) == (20, 5, 12)
    assert merged.limited == ("agent-cpu", "loop-lag")


def test_only_short_windows_are_merged() -> None:
    """Those that are thinned already stay as they are, and so does a gap between windows."""
    windows = [Window(0, 2), Window(2, 2), Window(4, 1), Window(5, 1), Window(6, 1), Window(9, 1)]
    assert [(one.at, one.seconds) for one in thin(windows, 2)] == [
        (0, 2), (2, 2), (4, 2), (6, 1), (9, 1)
    ]  # fmt: skip


@pytest.mark.parametrize(
    "line",
    [
        Line(version=VERSION, start=datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)),
        Line(window=window(0, 5, 7, limited=("ports",))),
        Line(change={"at": 2.5, "users": 7}),
        Line(missing="no space"),
        Line(closed=True),
    ],
)
def test_lines(line: Line) -> None:
    """Each kind of line is read as it was written; one that is cut is not."""
    encoded = encode_line(line)
    assert decode_line(encoded) == line
    assert {decode_line(encoded[:end]) for end in range(len(encoded))} == {None}


@pytest.mark.parametrize(
    "damaged", [b"", b"\0\0\n", b'{"window": 2}\n', b"[" * 9999 + b"\n", b'{"version": 2}\n']
)
def test_damaged_lines(damaged: bytes) -> None:
    """As after a power cut, or by a newer agent."""
    assert decode_line(damaged) is None


def test_csv() -> None:
    """Each row has as many fields as the header."""
    rows = list(
        csv.DictReader(to_csv([window(3, 2_000_000, errors=1, limited=("ports", "cpu-steal"))]))
    )
    assert [(row["at"], row["errors"], row["duration_p99_ms"], row["limited"]) for row in rows] == [
        ("3", "1", "2.000", "ports cpu-steal")
    ]
    assert None not in rows[0]
