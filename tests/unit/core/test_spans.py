"""Spans of time: neighbours are one, and their number is bounded."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from goloagent.core.spans import MAX_SPANS, Spans, seconds_of

SECONDS = st.lists(st.sets(st.sampled_from(["loop-lag", "ports", "agent-cpu"])), max_size=30)


@given(SECONDS)
def test_spans_cover_the_seconds(seconds: list[set[str]]) -> None:
    """Each second of a cause is in one of its spans, and no other is."""
    spans = Spans()
    for at, causes in enumerate(seconds):
        spans.add(causes, at, at + 1)
    for at, causes in enumerate(seconds):
        assert {s.cause for s in spans.all if s.begin <= at < s.end} == causes
    assert seconds_of(spans.all) == sum(map(bool, seconds))


def test_a_short_gap_is_within_the_span() -> None:
    """A new span is reported once."""
    spans = Spans(gap=1)
    assert [span.begin for span in spans.add(["ports"], 0, 1)] == [0]
    assert spans.add(["ports"], 2, 3) == []
    assert [span.begin for span in spans.add(["ports"], 5, 6)] == [5]
    assert [(span.begin, span.end) for span in spans.all] == [(0, 3), (5, 6)]


def test_their_number_is_bounded() -> None:
    """A cause that comes and goes grows its last span."""
    spans = Spans()
    for at in range(0, 4 * MAX_SPANS, 2):
        spans.add(["ports"], at, at + 1)
    assert len(spans.all) == MAX_SPANS
    assert spans.all[-1].end == 4 * MAX_SPANS - 1
