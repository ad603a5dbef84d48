"""The histogram, compared with exact percentiles of the same values."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from goloagent.core.stats.histogram import _SHIFT, BUCKETS, Histogram, _bits

THOUSANDTHS = (0, 1, 500, 900, 950, 990, 999, 1000)

durations = st.one_of(
    st.integers(0, 2000),
    st.integers(1_000_000, 500_000_000),
    st.integers(0, 62).flatmap(lambda octave: st.integers(2**octave - 1, 2**octave + 1)),
    st.integers(-(2**63), 2**63 - 1),
)


def _of(values: list[int]) -> Histogram:
    histogram = Histogram()
    histogram.record(values)
    return histogram


def _facts(histogram: Histogram) -> tuple[object, ...]:
    return (
        histogram.count,
        histogram.total,
        histogram.minimum,
        histogram.maximum,
        histogram.quantiles(*range(1001)),
    )


@given(values=st.lists(durations, min_size=1))
def test_quantiles_are_within_a_thousandth(values: list[int]) -> None:
    """Each is within 0.1 % of the value at the nearest rank, and between minimum and maximum."""
    histogram = _of(values)
    exact = sorted(max(0, value) for value in values)
    assert (histogram.count, histogram.total) == (len(exact), sum(exact))
    assert (histogram.minimum, histogram.maximum) == (exact[0], exact[-1])
    for thousandth, quantile in zip(THOUSANDTHS, histogram.quantiles(*THOUSANDTHS), strict=True):
        rank = max(1, -(-thousandth * len(exact) // 1000))
        value = exact[rank - 1]
        assert abs(quantile - value) <= Fraction(value, 1000)
        assert exact[0] <= quantile <= exact[-1]


@given(values=st.lists(st.integers(0, 2 * BUCKETS - 1), min_size=1))
def test_small_values_are_exact(values: list[int]) -> None:
    """Below twice the buckets of an octave, each value has its own bucket."""
    exact = sorted(values)
    ranks = [max(1, -(-thousandth * len(exact) // 1000)) for thousandth in range(1001)]
    assert _of(values).quantiles(*range(1001)) == [exact[rank - 1] for rank in ranks]


@given(value=st.integers(1, 2**53))
def test_a_bucket_is_the_leading_bits(value: int) -> None:
    """The bucket is the same as by shifting a value to its first ten bits."""
    octave = value.bit_length() - 1
    place = (value << 9 >> octave) - BUCKETS
    (double,) = _bits([value])
    assert double >> _SHIFT == (octave + 1023) * BUCKETS + place


@given(parts=st.lists(st.lists(durations)))
def test_merge(parts: list[list[int]]) -> None:
    """Merged histograms equal the histogram of all values."""
    merged, in_turn = Histogram(), Histogram()
    for part in parts:
        merged.merge(_of(part))
        in_turn.record(part)
    together = _of([value for part in parts for value in part])
    assert _facts(merged) == _facts(in_turn) == _facts(together)


@given(values=st.lists(durations), before=st.lists(durations))
def test_record_in_two_histograms(values: list[int], before: list[int]) -> None:
    """Recording in two at once equals recording in each."""
    one, two, plain = Histogram(), _of(before), _of(before)
    one.record(values, two)
    plain.record(values)
    assert _facts(one) == _facts(_of(values))
    assert _facts(two) == _facts(plain)


def test_merge_copies_the_counts() -> None:
    """A value recorded after a merge is in one of the two only."""
    one, other = Histogram(), _of([1000])
    one.merge(other)
    one.record([1000])
    assert (one.count, other.count) == (2, 1)
    assert other.quantiles(1000) == [1000]
    assert _facts(other) == _facts(_of([1000]))


def test_without_values() -> None:
    """Every quantile is zero."""
    assert _facts(Histogram()) == (0, 0, 0, 0, [0] * 1001)
    assert _facts(_of([])) == _facts(Histogram())


def test_more_than_65535_values_in_a_bucket() -> None:
    """Counts are widened, by recording and by merging."""
    many = _of([5] * 70_000)
    many.record([5] * 70_000)
    merged = _of([5] * 40_000 + [4])
    merged.merge(_of([5] * 40_000 + [9] * 80_000))
    assert many.quantiles(1, 1000) == [5, 5]
    assert merged.count == 160_001
    assert merged.quantiles(0, 500, 501) == [4, 5, 9]


def test_more_than_4294967295_values_in_a_bucket() -> None:
    """Repeated merging reaches billions."""
    histogram = _of([5] * 65_536 + [9])
    for _ in range(17):
        histogram.merge(histogram)
    assert histogram.count == 65_537 << 17
    assert histogram.quantiles(999, 1000) == [5, 9]


@given(st.lists(st.tuples(st.integers(0, 2**40), st.integers(1, 100)), max_size=50))
def test_counted_values_are_as_if_recorded_one_by_one(pairs: list[tuple[int, int]]) -> None:
    """The counts, the exact members and the quantiles are the same."""
    counted, single = Histogram(), Histogram()
    counted.record_counted([value for value, _ in pairs], [times for _, times in pairs])
    single.record([value for value, times in pairs for _ in range(times)])
    assert list(counted.counts()) == list(single.counts())
    for name in ("count", "total", "minimum", "maximum"):
        assert getattr(counted, name) == getattr(single, name)
