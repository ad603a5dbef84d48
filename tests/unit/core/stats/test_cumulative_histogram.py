"""Cumulative histograms are the same for windows and for the windows that replace them."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goloagent.core.stats.cumulative_histogram import SCHEMA, CumulativeHistogram
from goloagent.core.stats.hdr import decode, encode
from goloagent.core.stats.histogram import Histogram

durations = st.lists(st.integers(0, 2**50) | st.integers(0, 10**9), max_size=60)


def encoded(values: list[int]) -> str:
    """Return the encoded histogram of values."""
    histogram = Histogram()
    histogram.record(values)
    return encode(histogram) if values else ""


@given(st.lists(durations, max_size=5))
def test_merged_windows(windows: list[list[int]]) -> None:
    """One merged window adds what each of its parts would add: counts, zeros and the sum."""
    apart, together = CumulativeHistogram(), CumulativeHistogram()
    merged = Histogram()
    for values in windows:
        apart.add(encoded(values))
        if values:
            merged.merge(decode(encoded(values)))
    together.add(encode(merged) if merged.count else "")
    assert together == apart
    assert apart.count == sum(map(len, windows))
    buckets = apart.buckets()
    assert buckets == together.buckets()
    assert buckets.zero_count + sum(buckets.counts.values()) == apart.count


@given(st.integers(2**10, 2**50))
def test_a_value_is_in_its_bucket(value: int) -> None:
    """It is there within the precision of our own buckets, and the sum has it within 1/1024."""
    histogram = CumulativeHistogram()
    histogram.add(encoded([value]))
    (bucket,) = histogram.buckets().counts
    base = 2 ** (1 / (1 << SCHEMA))
    assert base ** (bucket - 1) * (1 - 1 / 512) <= value / 1e9 <= base**bucket * (1 + 1 / 512)
    assert abs(histogram.sum * 1e9 - value) <= value / 1024


def test_native() -> None:
    """It has the schema, the zeros and the buckets; a copy does not grow."""
    histogram = CumulativeHistogram()
    histogram.add(encoded([0, 1_001_000_000]))
    before = histogram.copy()
    histogram.add(encoded([1_001_000_000, 2_002_000_000]))
    assert before.count == 2
    native = histogram.buckets().native()
    assert (native.schema, native.zero_count) == (8, 1)
    assert [length for _, length in native.spans] == [1, 1]
    assert native.deltas == (2, -1)


@given(st.lists(durations, min_size=1, max_size=8))
def test_no_bucket_decreases(windows: list[list[int]]) -> None:
    """No window reduces a bucket, so that Prometheus sees no reset."""
    histogram = CumulativeHistogram()
    before = histogram.buckets()
    for values in windows:
        histogram.add(encoded(values))
        now = histogram.buckets()
        assert now.zero_count >= before.zero_count
        assert all(now.counts[bucket] >= count for bucket, count in before.counts.items())
        before = now


def quantile(histogram: CumulativeHistogram, share: float) -> float:
    """Return a quantile in nanoseconds as Prometheus 2 computes it."""
    buckets, rank = histogram.buckets(), share * histogram.count
    below, base = buckets.zero_count, 2 ** (1 / (1 << SCHEMA))
    for bucket in sorted(buckets.counts):
        count = buckets.counts[bucket]
        if below + count >= rank:
            low, high = base ** (bucket - 1), base**bucket
            return 1e9 * (low + (high - low) * (rank - below) / count)
        below += count
    raise AssertionError(share)


@pytest.mark.parametrize("median", [900_000, 20_000_000, 1_048_000, 3_000_000_000])
def test_percentiles(median: int) -> None:
    """Those of a smooth distribution are ours within 0.12 %."""
    chance = random.Random(median)
    values = [int(median * chance.lognormvariate(0, 0.5)) for _ in range(200_000)]
    ours, theirs = Histogram(), CumulativeHistogram()
    ours.record(values)
    theirs.add(encode(ours))
    for thousandth in range(20, 1000, 5):
        (expected,) = ours.quantiles(thousandth)
        found = quantile(theirs, thousandth / 1000)
        assert found == pytest.approx(expected, rel=0.0012), thousandth
