"""The age of the oldest pending result, in bounded memory."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from goloagent.metrics.delivery_lag import MAX_MARKS, DeliveryLag


@given(
    st.lists(
        st.tuples(st.floats(0.1, 10), st.integers(0, 3), st.integers(0, 3)),
        max_size=60,
    )
)
def test_the_oldest_pending_result(steps: list[tuple[float, int, int]]) -> None:
    """While no marks are merged, it is exact."""
    lag, received, seconds, processed = DeliveryLag(), list[float](), 0.0, 0
    for pause, more, less in steps:
        seconds += pause
        received += [seconds] * more
        processed = min(len(received), processed + less)
        lag.update(seconds, len(received), processed)
        assert lag.oldest_seconds == (received[processed] if processed < len(received) else None)


def test_a_long_outage() -> None:
    """After a day of results each second the marks are bounded, and no age is too short."""
    lag, seconds = DeliveryLag(), 24 * 3600
    for second in range(seconds):
        lag.update(float(second), second + 1, 0)
    assert len(lag._marks) <= MAX_MARKS
    assert lag.oldest_seconds == 0.0
    for processed in range(0, seconds, 3600):
        lag.update(float(seconds), seconds, processed)
        assert lag.oldest_seconds is not None
        assert lag.oldest_seconds <= processed
        # The error is a small part of the outage.
        assert processed - lag.oldest_seconds <= seconds / 100
