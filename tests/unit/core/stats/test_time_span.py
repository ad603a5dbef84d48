"""The first and the last timestamp of a run, compared with those that datetime parses."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from goloagent.core.record import Record
from goloagent.core.stats.time_span import _EXACT, _MAX_TEXTS, _STEP, TimeSpan

OFFSETS = ["Z", "+00:00", "-00:00", "+02:00", "-23:59", "+05:45"]
SECOND = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)


def span_of(texts: list[str], cuts: tuple[int, ...] = ()) -> TimeSpan:
    """Return the span of timestamps that come in some blocks."""
    records = [Record(timestamp=Raw(f'"{text}"'.encode())) for text in texts]
    span = TimeSpan()
    ends = [*sorted(cut for cut in cuts if cut < len(records)), len(records)]
    for start, end in zip([0, *ends], ends, strict=False):
        if records[start:end]:
            span.add(records[start:end])
    return span


@st.composite
def timestamps(draw: st.DrawFn) -> tuple[str, datetime]:
    """Return a timestamp and its time."""
    local = draw(st.datetimes(datetime(2025, 12, 30), datetime(2026, 1, 2)))
    local = local.replace(microsecond=draw(st.sampled_from([0, 100_000, 120_000, 999_999])))
    fraction = f".{local.microsecond:06}".rstrip("0").rstrip(".") + draw(st.sampled_from(["", "0"]))
    fraction = "" if fraction == "0" else fraction
    offset = draw(st.sampled_from(OFFSETS))
    text = f"{local:%Y-%m-%dT%H:%M:%S}{fraction}{offset}"
    sign = -1 if offset.startswith("-") else 1
    east = 0 if offset == "Z" else sign * (int(offset[1:3]) * 60 + int(offset[4:]))
    return text, local.replace(tzinfo=timezone.utc) - timedelta(minutes=east)


@given(drawn=st.lists(timestamps(), min_size=1), cuts=st.lists(st.integers(0, 50), max_size=4))
def test_the_ends_are_the_least_and_the_greatest(
    drawn: list[tuple[str, datetime]], cuts: list[int]
) -> None:
    """Fractions of any length and all offsets are compared by their times."""
    times = [time for _, time in drawn]
    assert span_of([text for text, _ in drawn], tuple(cuts)).ends == (min(times), max(times))


@given(cuts=st.lists(st.integers(0, 3000), max_size=6))
def test_many_results_are_sampled(cuts: list[int]) -> None:
    """In any blocks, each 16th result and the last one count."""
    seconds = [number % 997 for number in range(3 * _EXACT)]
    seconds[_EXACT + 5 * _STEP] = 5000
    seconds[_EXACT + 5 * _STEP + 1] = 6000  # between two samples
    seconds[-1] = -1
    texts = [(SECOND + timedelta(seconds=each)).isoformat() for each in seconds]
    span = span_of(texts, tuple(cuts))
    assert span.ends == (SECOND - timedelta(seconds=1), SECOND + timedelta(seconds=5000))
    assert len(span._texts) < _MAX_TEXTS


def test_a_look_changes_nothing() -> None:
    """The last result counts only while it is the last."""
    span = TimeSpan()
    records = [Record(timestamp=Raw(b'"2026-01-02T03:04:05Z"'))] * (_EXACT + 1)
    late = Record(timestamp=Raw(b'"2026-01-02T03:04:07Z"'))
    span.add([*records, late])
    assert span.ends == (SECOND, SECOND + timedelta(seconds=2))
    span.add(records[:1])
    assert span.ends == (SECOND, SECOND)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-01-02T03:04:05.1234567891234Z", SECOND.replace(microsecond=123456)),
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=timezone.utc)),
        ("0000-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=timezone.utc)),
        ("0001-01-01T00:00:00+01:00", datetime(1, 1, 1, tzinfo=timezone.utc)),
        ("9999-12-31T23:59:59-01:00", datetime.max.replace(tzinfo=timezone.utc)),
    ],
)
def test_extreme_times(text: str, time: datetime) -> None:
    """Each valid timestamp has a time; those outside Python's years have the nearest."""
    assert span_of([text]).ends == (time, time)


def test_no_results() -> None:
    """There are no ends."""
    assert TimeSpan().ends is None
