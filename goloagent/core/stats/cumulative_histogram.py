"""A histogram that only grows, in the exponential buckets of Prometheus and OpenTelemetry. Pure.

It is made from the encoded histograms of windows. Merged windows give the same counts and the same
sum as the windows that they replace.
"""

from __future__ import annotations

from functools import cache

import attrs

from goloagent.core.stats.hdr import sparse, value_at
from goloagent.core.stats.histogram import BUCKETS
from goloagent.core.stats.native_histogram import (
    NANOSECONDS,
    NativeHistogram,
    from_buckets,
    native_bucket,
    zero_bucket,
)

SCHEMA = 8
"""The finest schema that Prometheus has: each bucket is 0.27 % wide."""

_ZERO = zero_bucket(SCHEMA)
# Windows whose histograms are added at once, which takes little longer than to add one.
_MAX_PENDING = 16
# The parts of a bucket of ours, for its share in a bucket of the schema.
_PARTS = 1024


@attrs.frozen
class Buckets:
    """Counts of durations in seconds.

    Attributes:
        zero_count: of those up to `native_histogram.ZERO_THRESHOLD`.
        counts: by the power of ``2 ** (1 / 2**SCHEMA)`` at which each bucket ends.
    """

    zero_count: int
    counts: dict[int, int]

    def native(self) -> NativeHistogram:
        """Return them as a native histogram."""
        return from_buckets(SCHEMA, self.zero_count, self.counts)


@attrs.define(eq=False)
class CumulativeHistogram:
    """Counts of durations. Adding a window takes microseconds, reading the buckets 1 ms."""

    _counts: dict[int, int] = attrs.field(factory=dict)  # by HDR's places
    _count: int = 0
    _nanoseconds: int = 0
    _pending: list[str] = attrs.field(factory=list)

    def add(self, encoded: str) -> None:
        """Add all values of a histogram that `hdr.encode` has encoded; "" has none.

        Raises:
            ValueError: it, or one before it, is damaged; so may all others.
        """
        if encoded:
            self._pending.append(encoded)
            if len(self._pending) >= _MAX_PENDING:
                self._add_pending()

    @property
    def count(self) -> int:
        """The number of durations."""
        self._add_pending()
        return self._count

    @property
    def sum(self) -> float:
        """The sum in seconds, in which each value counts as the middle of its bucket of 1/512."""
        self._add_pending()
        return self._nanoseconds / NANOSECONDS

    def buckets(self) -> Buckets:
        """Return the buckets of the schema.

        The counts of a bucket of ours that lies in two are divided by its share in each, which
        keeps percentiles within 0.1 % and lets no bucket's count decrease.
        """
        self._add_pending()
        counts: dict[int, int] = {}
        for place, count in self._counts.items():
            lower, upper, parts = _share(place)
            if parts < _PARTS:
                below = (count * parts + _PARTS // 2) // _PARTS
                counts[lower] = counts.get(lower, 0) + below
                counts[upper] = counts.get(upper, 0) + count - below
            else:
                counts[lower] = counts.get(lower, 0) + count
        zero_count = counts.pop(_ZERO, 0)
        return Buckets(zero_count, {bucket: count for bucket, count in counts.items() if count})

    def copy(self) -> CumulativeHistogram:
        """Return a copy that does not grow."""
        return CumulativeHistogram(
            dict(self._counts), self._count, self._nanoseconds, list(self._pending)
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CumulativeHistogram):
            return NotImplemented
        self._add_pending()
        other._add_pending()
        return (self._counts, self._nanoseconds) == (other._counts, other._nanoseconds)

    __hash__ = None  # type: ignore[assignment]

    def _add_pending(self) -> None:
        if not self._pending:
            return
        encodings, self._pending = self._pending, []
        counts = self._counts
        for place, count in sparse(encodings):
            self._count += count
            self._nanoseconds += value_at(place) * count
            counts[place] = counts.get(place, 0) + count


@cache
def _share(place: int) -> tuple[int, int, int]:
    """Return the buckets that one of HDR's 65,536 places lies in, and its share in the lower."""
    value = value_at(place)
    # A bucket of ours, of which the value is the middle, has a 512th of an octave.
    half = (1 << value.bit_length() - 1) / BUCKETS / 2 if value >= 2 * BUCKETS else 0.0
    lower = native_bucket(value - half, SCHEMA)
    upper = native_bucket(value + half, SCHEMA)
    if lower == upper:
        return lower, upper, _PARTS
    border = 2.0 ** (lower / (1 << SCHEMA)) * NANOSECONDS
    return lower, upper, round((border - value + half) / (2 * half) * _PARTS)
