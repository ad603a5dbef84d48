"""The size of batches grows with full deliveries, and shrinks with failures."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from goloagent.outputs.batch_size import (
    BATCH_RESULTS,
    FIRST_PATIENCE,
    MAX_BATCH_RESULTS,
    MIN_SLOW_RESULTS,
    AdaptiveBatchSize,
    SizeLimit,
)
from goloagent.results.parser import MAX_BODY_BYTES


def test_only_full_batches_grow() -> None:
    """Quick small batches change nothing."""
    size = AdaptiveBatchSize()
    for _ in range(1000):
        size.delivered(BATCH_RESULTS - 1, 1000, 0.001)
    assert size.results.size == BATCH_RESULTS
    size.delivered(BATCH_RESULTS, 1000, 0.001)
    assert size.results.size == 2 * BATCH_RESULTS


def test_slow_batches_are_halved() -> None:
    """A batch that takes a second is halved, down to 256 results."""
    size = AdaptiveBatchSize()
    for _ in range(2):
        size.delivered(size.results.size, 1000, 0.5)
    for expected in (8192, 4096, 2048, 1024, 512, 256, 256):
        size.delivered(size.results.size, 1000, 1.0)
        assert size.results.size == expected


def test_a_very_slow_batch_shrinks_at_once() -> None:
    """The next batch has what was taken in a second."""
    size = AdaptiveBatchSize()
    size.delivered(4096, 1000, 8.0)
    assert size.results.size == 512
    size.delivered(512, 1000, 8.0)
    assert size.results.size == MIN_SLOW_RESULTS


def test_a_failed_size_is_rarely_tried_again() -> None:
    """After each failure twice as many full deliveries are needed."""
    limit = SizeLimit(1024, MAX_BATCH_RESULTS)
    waits = []
    limit.failed(1024)
    for _ in range(5):
        count = 0
        while limit.size < 1024:
            limit.delivered(limit.size, full=True)
            count += 1
        waits.append(count)
        limit.failed(1024)
    assert waits == [FIRST_PATIENCE * 2**n for n in range(5)]


def test_the_size_recovers_after_an_outage() -> None:
    """After any number of failures some thirty full batches restore the size."""
    limit = SizeLimit(4096, MAX_BATCH_RESULTS)
    size = limit.size
    for _ in range(100):
        limit.failed(size)
        size = limit.size
    assert size == 1
    count = 0
    while limit.size < 4096:
        limit.delivered(limit.size, full=True)
        count += 1
    assert count <= 12 + FIRST_PATIENCE


def test_a_refused_body_is_remembered() -> None:
    """Bodies are at most half of the smallest refused one."""
    size = AdaptiveBatchSize()
    for refused in (16_000, 64_000, 1_000_000):
        size.too_large(refused)
    assert size.body.size == 8000
    size.delivered(10, 3000, 0.1)
    assert size.body.size == 8000


@given(
    st.lists(
        st.tuples(st.sampled_from(["taken", "failed", "too large"]), st.integers(1, MAX_BODY_BYTES))
    )
)
def test_sizes_are_within_their_bounds(history: list[tuple[str, int]]) -> None:
    """In any history sizes are between 1 and their maximum."""
    size = AdaptiveBatchSize()
    for what, amount in history:
        if what == "taken":
            size.delivered(min(amount, size.results.size), amount, amount % 3)
        elif what == "failed":
            size.failed(min(amount, MAX_BATCH_RESULTS))
        else:
            size.too_large(amount)
        assert 1 <= size.results.size <= MAX_BATCH_RESULTS
        assert 1 <= size.body.size <= MAX_BODY_BYTES
