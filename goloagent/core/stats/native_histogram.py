"""Histograms of nanoseconds as Prometheus has them: classic and native ones of seconds. Pure.

A native histogram has exponential buckets, ``2**schema`` from a power of two to the next. In a
bucket Prometheus interpolates. With schema 5 each is 2.2 % wide: durations of 1 to 500 ms have at
most 288, and durations of any range at most 1,700; each further schema doubles that.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import accumulate, groupby
from math import ceil, log2

import attrs

from goloagent.core.stats.histogram import BUCKETS, Histogram

SCHEMA = 5
"""The schema of the agent's own metrics."""

ZERO_THRESHOLD = 2.0**-20
"""Durations up to 0.95 µs are in the bucket of zero."""

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""The upper bounds of the classic buckets; one more has the rest."""

NANOSECONDS = 1_000_000_000

_ZERO_POWER = -20
# A gap of so many empty buckets is shorter as their zeros than as the begin of a span.
_MAX_GAP = 2


@attrs.frozen
class NativeHistogram:
    """The buckets of a native histogram.

    Attributes:
        schema: the base-2 logarithm of the number of buckets from a power of two to the next.
        zero_count: the number of values up to `ZERO_THRESHOLD`.
        spans: of buckets that follow each other: the distance from the end of the last span, at
            first from the bucket that ends at one second, and the length.
        deltas: the count of each of these buckets less that of the bucket before.
    """

    schema: int
    zero_count: int
    spans: tuple[tuple[int, int], ...]
    deltas: tuple[int, ...]


def native(histogram: Histogram, schema: int = SCHEMA) -> NativeHistogram:
    """Return the buckets of a native histogram."""
    counts = _count(histogram, schema)
    return from_buckets(schema, counts.pop(zero_bucket(schema), 0), counts)


def from_buckets(schema: int, zero_count: int, counts: Mapping[int, int]) -> NativeHistogram:
    """Return a native histogram of counts by the power of the base at which each bucket ends."""
    spans: list[tuple[int, int]] = []
    deltas: list[int] = []
    end = offset = length = before = 0
    for bucket in sorted(counts):
        gap = bucket - end
        if length and gap <= _MAX_GAP:
            if gap:
                deltas += [-before, *[0] * (gap - 1)]
                before = 0
            length += gap + 1
        else:
            if length:
                spans.append((offset, length))
            offset, length = gap, 1
        count = counts[bucket]
        deltas.append(count - before)
        before, end = count, bucket + 1
    if length:
        spans.append((offset, length))
    return NativeHistogram(schema, zero_count, tuple(spans), tuple(deltas))


def native_bucket(nanoseconds: float, schema: int) -> int:
    """Return the power of the base at which the bucket of a duration ends; see `zero_bucket`."""
    if nanoseconds <= ZERO_THRESHOLD * NANOSECONDS:
        return zero_bucket(schema)
    return ceil(log2(nanoseconds / NANOSECONDS) * (1 << schema))


def zero_bucket(schema: int) -> int:
    """Return the number that stands for the bucket of zero; it is below all others."""
    return _ZERO_POWER << schema


def classic(histogram: Histogram) -> list[int]:
    """Return how many values are at most each of `BOUNDS`, and at the end how many there are."""
    counts = _count(histogram, None)
    return list(accumulate(counts[bucket] for bucket in range(len(BOUNDS) + 1)))


def _count(histogram: Histogram, schema: int | None) -> Counter[int]:
    """Count values by native bucket, or by classic ones without a schema.

    Those of our buckets that lie in two count in the lower one.
    """
    found: Counter[int] = Counter()
    for octave, counts in histogram.octaves():
        for bucket, begin, end in _parts(octave, schema):
            count = sum(counts[begin:end])
            if count:
                found[bucket] += count
    return found


@lru_cache(maxsize=256)
def _parts(octave: int, schema: int | None) -> Sequence[tuple[int, int, int]]:
    """Return for each bucket of an octave where its first and last place are."""

    def bucket(place: int) -> int:
        least = (1 + place / BUCKETS) * 2.0**octave if octave >= 0 else 0.0
        if schema is None:
            return bisect_left(BOUNDS, least / NANOSECONDS)
        return native_bucket(least, schema)

    parts = []
    for found, places in groupby(range(BUCKETS), bucket):
        first, *more = places
        parts.append((found, first, first + len(more) + 1))
    return parts
