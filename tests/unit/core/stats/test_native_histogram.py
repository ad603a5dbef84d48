"""Classic and native buckets hold every duration in the bucket of its value."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from goloagent.core.stats.histogram import Histogram
from goloagent.core.stats.native_histogram import (
    BOUNDS,
    SCHEMA,
    ZERO_THRESHOLD,
    NativeHistogram,
    classic,
    native,
)

# Our own buckets are at most 1/512 wide.
PRECISION = 1 + 1 / 512
LONGEST = 2**63 - 1

durations = st.lists(st.integers(0, LONGEST) | st.integers(0, 10**10), max_size=200)


def histogram(values: list[int]) -> Histogram:
    """Return a histogram of nanoseconds."""
    made = Histogram()
    made.record(values)
    return made


def buckets(native: NativeHistogram) -> dict[int, int]:
    """Return the counts by the power of the base at which each bucket ends."""
    found: dict[int, int] = {}
    deltas = iter(native.deltas)
    bucket = count = 0
    for offset, length in native.spans:
        bucket += offset
        for _ in range(length):
            count += next(deltas)
            found[bucket] = count
            bucket += 1
    assert next(deltas, None) is None
    return found


@given(durations)
def test_classic_buckets(values: list[int]) -> None:
    """Each counts all up to its bound, and at most those that are 1/512 longer."""
    *counts, total = classic(histogram(values))
    assert total == len(values)
    for bound, count in zip(BOUNDS, counts, strict=True):
        least = sum(value <= bound * 1e9 for value in values)
        most = sum(value <= bound * PRECISION * 1e9 for value in values)
        assert least <= count <= most


def test_a_bound_is_in_its_bucket() -> None:
    """A duration of exactly a bound counts there, and the next longer one of ours does not."""
    for place, bound in enumerate(BOUNDS):
        counts = classic(histogram([round(bound * 1e9), round(bound * PRECISION * 1e9) + 1]))
        assert counts == [0] * place + [1] + [2] * (len(BOUNDS) - place)


@given(durations)
def test_native_buckets(values: list[int]) -> None:
    """Ranks are those of the values: as many are in the first buckets as are that short."""
    found = native(histogram(values))
    counts = buckets(found)
    assert all(count >= 0 for count in counts.values())
    assert found.zero_count + sum(counts.values()) == len(values)
    ordered = sorted(values)
    place = found.zero_count
    assert all(value <= ZERO_THRESHOLD * PRECISION * 1e9 for value in ordered[:place])
    base = 2 ** (1 / (1 << SCHEMA))
    for bucket, count in sorted(counts.items()):
        for value in ordered[place : place + count]:
            assert base ** (bucket - 1) * (1 - 1e-9) <= value / 1e9
            assert value / 1e9 <= base**bucket * PRECISION * (1 + 1e-9)
        place += count


def test_spans() -> None:
    """Short gaps are zeros, longer ones begin a span; the bucket 0 ends at one second."""
    base = 2 ** (1 / (1 << SCHEMA))
    values = [round(base ** (bucket - 0.5) * 1e9) for bucket in (0, 0, 1, 4, 8)]
    found = native(histogram([0, *values]))
    assert found == NativeHistogram(5, 1, ((0, 5), (3, 1)), (2, -1, -1, 0, 1, 0))


def test_nothing() -> None:
    """Without values there are no buckets."""
    assert native(Histogram()) == NativeHistogram(5, 0, (), ())
    assert classic(Histogram()) == [0] * (len(BOUNDS) + 1)


def test_the_size_is_bounded() -> None:
    """Durations of every length have at most 1,700 buckets."""
    values = [min(LONGEST, round(1.005**power)) for power in range(9000)]
    assert len(native(histogram(values)).deltas) <= 1700
