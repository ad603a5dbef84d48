"""Times of calls are measured alike, whether they are grouped or not."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from goloagent.core.stats.histogram import Histogram
from goloagent.load.call_times import CallTimes

chunks = st.lists(
    st.lists(st.tuples(st.integers(0, 3), st.integers(1, 40)), min_size=1, max_size=4), max_size=20
)


@given(chunks)
def test_each_call_of_the_closed_model_is_measured(batches: list[list[tuple[int, int]]]) -> None:
    """Chunks of replies of one batch, of several, and small ones."""
    times, expected = CallTimes("closed"), Histogram()
    for number, chunk in enumerate(batches):
        now = 1_000_000 * (number + 10)
        stamps = [now - 1000 * (batch + 1) for batch, size in chunk for _ in range(size)]
        times.returned(stamps, now)
        expected.record([now - at for at in stamps])
    window = times.rotate()
    assert window.iteration.count == expected.count
    assert list(window.iteration.counts()) == list(expected.counts())
    assert times.rotate().iteration.count == 0
