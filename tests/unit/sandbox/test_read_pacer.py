"""The rest between reads of a pipe adapts to the rate."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goloagent.sandbox.read_pacer import (
    FIRST_REST_SECONDS,
    MAX_REST_SECONDS,
    MIN_REST_SECONDS,
    ReadPacer,
)

TARGET = 32 * 1024


def settle(pacer: ReadPacer, rate: float, reads: int = 200) -> float:
    """Read at a number of bytes per second; return the last rest."""
    rest = FIRST_REST_SECONDS
    for _ in range(reads):
        seconds = max(rest, 0.0001)
        rest = pacer.rest(round(rate * seconds), seconds)
    return rest


@pytest.mark.parametrize(
    ("rate", "rest"),
    [
        (1_000, MAX_REST_SECONDS),
        (160_000, MAX_REST_SECONDS),
        (1_000_000, 0.0328),
        (1_600_000, 0.0205),
        (10_000_000, 0.0033),
        (100_000_000, 0.0),
    ],
)
def test_the_rest_is_what_a_quarter_of_the_pipe_takes(rate: float, rest: float) -> None:
    """8,000 results a second are 1.6 MB: 20 ms; lower rates rest 50 ms, a flood not at all."""
    assert settle(ReadPacer(TARGET), rate) == pytest.approx(rest, rel=0.01)


def test_the_first_rests_are_short() -> None:
    """A load test that prints little and ends is not delayed."""
    pacer = ReadPacer(TARGET)
    assert pacer.rest(100, 10.0) < 1.1 * FIRST_REST_SECONDS


def test_a_burst_shortens_the_rest_for_a_second() -> None:
    """A burst delays the load test once, not each time."""
    pacer = ReadPacer(TARGET)
    settle(pacer, 100_000)
    assert pacer.rest(4 * TARGET, MAX_REST_SECONDS) == MAX_REST_SECONDS / 4
    seconds = 0.0
    while (rest := pacer.rest(100, 0.02)) < MAX_REST_SECONDS:
        seconds += rest
    assert 0.5 < seconds < 2


@given(st.lists(st.tuples(st.integers(0, 10**7), st.floats(0, 1e6))))
def test_a_rest_is_bounded(reads: list[tuple[int, float]]) -> None:
    """In any history a rest is none, or between the bounds."""
    pacer = ReadPacer(TARGET)
    for read_bytes, seconds in reads:
        rest = pacer.rest(read_bytes, seconds)
        assert rest == 0 or MIN_REST_SECONDS <= rest <= MAX_REST_SECONDS
