"""Since when results wait, in bounded memory."""

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
def test_it_is_the_time_of_the_oldest(steps: list[tuple[float, int, int]]) -> None:
    """Unthinned, the oldest that waits is the first one above those settled."""
    backlog, came, seconds, settled = DeliveryLag(), list[float](), 0.0, 0
    for pause, more, less in steps:
        seconds += pause
        came += [seconds] * more
        settled = min(len(came), settled + less)
        backlog.update(seconds, len(came), settled)
        assert backlog.oldest_seconds == (came[settled] if settled < len(came) else None)


def test_a_long_outage_is_bounded_and_not_understated() -> None:
    """After a day of results each second there are few marks, and the age is right or too long."""
    backlog, seconds = DeliveryLag(), 24 * 3600
    for second in range(seconds):
        backlog.update(float(second), second + 1, 0)
    assert len(backlog._marks) <= MAX_MARKS
    assert backlog.oldest_seconds == 0.0
    for settled in range(0, seconds, 3600):
        backlog.update(float(seconds), seconds, settled)
        assert backlog.oldest_seconds is not None
        assert backlog.oldest_seconds <= settled
        # What is told too long is a small part of the outage.
        assert settled - backlog.oldest_seconds <= seconds / 100
