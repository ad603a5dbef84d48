"""Server-sent events, whole, byte by byte, and at random splits."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goloagent.client.agents.events import MAX_EVENT_BYTES, EventParser

STREAM = (
    b"retry: 1000\n\n:\n\nid: running\nevent: state\ndata: {}\n\n"
    b"event: progress\ndata:{\ndata: }\n\ndata: alone\n\n: a comment\nevent: empty\n\n"
    b"event: cut\ndata: lost"
)
EVENTS = [("state", "{}"), ("progress", "{\n}"), ("message", "alone")]


@given(st.sets(st.integers(1, len(STREAM) - 1)))
def test_events_at_any_split(cuts: set[int]) -> None:
    """The parts of the stream make no difference; an event without its end is none."""
    places = [0, *sorted(cuts), len(STREAM)]
    parser = EventParser()
    found = [event for begin, end in pairwise(places) for event in parser.feed(STREAM[begin:end])]
    assert found == EVENTS


def test_an_endless_event() -> None:
    """It is an error before it fills the memory."""
    parser = EventParser()
    list(parser.feed(b"x" * MAX_EVENT_BYTES))
    with pytest.raises(ValueError, match="longer than"):
        list(parser.feed(b"x"))
