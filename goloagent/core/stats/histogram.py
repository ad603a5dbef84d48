"""A histogram of durations of any range, whose percentiles are accurate within 0.1 %.

Buckets are logarithmic: each octave (from a power of two to the next) has 512 of equal width. A
value is returned as the middle of its bucket, with an error of at most 1/1024 of itself. The
octaves between the minimum and the maximum cost 1 KiB each: 8 to 10 KiB for latencies of 1 to
500 ms. Maintained libraries take 270 KiB (hdrhistogram) or 80 KiB (ddsketch) and 1 µs or more a
value, too much for a thousand rows and a million values.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import deque
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import accumulate
from operator import add, mul
from sys import byteorder

BUCKETS = 512
"""Buckets in an octave."""

# The bits of a double: its exponent, and the part of its fraction that is the bucket.
_FRACTION_BITS = 52
_BUCKET_BITS = BUCKETS.bit_length() - 1
_SHIFT = _FRACTION_BITS - _BUCKET_BITS
_EXPONENT_BIAS = 1023

_MAX_COUNTS = {"H": 2**16 - 1, "I": 2**32 - 1, "Q": 2**64 - 1}
"""The types of counts, each with its maximum."""

# Zero, which has no logarithm, gets the bucket below that of one.
_ZERO = 0.5


class Histogram:
    """Counts of integers; `count`, `total`, `minimum`, `maximum` are exact, and 0 without values.

    A negative value, as after a step of the clock, counts as zero.
    """

    __slots__ = ("_bound", "_counts", "_first", "count", "maximum", "minimum", "total")

    def __init__(self) -> None:
        # The counts of the buckets from `_first`, the start of an octave; none exceeds `_bound`.
        self._counts = array("H")
        self._first = 0
        self._bound = 0
        self.count = self.total = self.minimum = self.maximum = 0

    def record(self, values: Sequence[int], *also: Histogram) -> None:
        """Add values to this histogram and to others: 64 at a time take 0.3 µs each."""
        if not values:
            return
        low, high = min(values), max(values)
        if low < 0:
            values = [max(0, value) for value in values]
            low, high = max(0, low), max(0, high)
        total = sum(values)
        doubles = _bits(values if low else [value or _ZERO for value in values])
        counts, first = self._extend(len(values), total, low, high)
        if not also:
            for double in doubles:
                counts[(double >> _SHIFT) - first] += 1
            return
        # Each bucket is found once for two, which is most of the work.
        others, start = also[0]._extend(len(values), total, low, high)
        for double in doubles:
            bucket = double >> _SHIFT
            counts[bucket - first] += 1
            others[bucket - start] += 1
        for histogram in also[1:]:
            counts, first = histogram._extend(len(values), total, low, high)
            for double in doubles:
                counts[(double >> _SHIFT) - first] += 1

    def take(self) -> Histogram:
        """Return a histogram with all values, and forget them."""
        taken, empty = Histogram(), Histogram()
        for name in self.__slots__:
            setattr(taken, name, getattr(self, name))
            setattr(self, name, getattr(empty, name))
        return taken

    def record_times(self, value: int, times: int) -> None:
        """Count one value that came several times."""
        self.record_counted([value], [times])

    def record_counted(self, values: Sequence[int], times: Sequence[int]) -> None:
        """Add values of 0 and more, each of which came a number of times."""
        if not values:
            return
        total = sum(map(mul, values, times))
        counts, first = self._extend(sum(times), total, min(values), max(values))
        for double, count in zip(_bits([value or _ZERO for value in values]), times, strict=True):
            counts[(double >> _SHIFT) - first] += count

    def merge(self, other: Histogram) -> None:
        """Add all values of another histogram."""
        if not other.count:
            return
        counts, first = self._extend(other.count, other.total, other.minimum, other.maximum)
        theirs = other._counts
        if theirs.typecode != counts.typecode:
            theirs = array(counts.typecode, theirs)
        start = other._first - first
        end = start + len(theirs)
        # One sum of two long integers: none of the counts in them overflows into the next.
        total = sum(
            int.from_bytes(each.tobytes(), byteorder) for each in (counts[start:end], theirs)
        )
        size = len(theirs) * theirs.itemsize
        counts[start:end] = array(counts.typecode, total.to_bytes(size, byteorder))

    def quantiles(self, *thousandths: int | Fraction) -> list[int]:
        """Return the value at each quantile, given in ascending order, or 0 without values.

        By nearest rank: the quantile `q` of `n` values in order is the one at position
        `ceil(q / 1000 * n)`, counted from one.
        """
        if not self.count:
            return [0] * len(thousandths)
        ranks = deque(max(1, -(-thousandth * self.count // 1000)) for thousandth in thousandths)
        values: list[int] = []
        before = 0
        for start in range(0, len(self._counts), BUCKETS):
            counts = self._counts[start : start + BUCKETS]
            end = before + sum(counts)
            if ranks and ranks[0] <= end:
                ends = list(accumulate(counts, initial=before))
                while ranks and ranks[0] <= end:
                    bucket = self._first + start + bisect_left(ends, ranks.popleft()) - 1
                    values.append(min(max(_middle(bucket), self.minimum), self.maximum))
            before = end
        return values

    def counts(self) -> Iterator[tuple[int, int, int]]:
        """Yield the middle, the width and the count of each bucket that has values, ascending."""
        for place, count in enumerate(self._counts):
            if count:
                bucket = self._first + place
                yield _middle(bucket), max(1, _width(bucket)), count

    def octaves(self) -> Iterator[tuple[int, Sequence[int]]]:
        """Yield each octave that has values, as its power of two, with the counts of its buckets.

        The octave -1 has the zeros in its first bucket; see `middle_of`.
        """
        for start in range(0, len(self._counts), BUCKETS):
            counts = self._counts[start : start + BUCKETS]
            if any(counts):
                yield (self._first + start) // BUCKETS - _EXPONENT_BIAS, counts

    def add_octave(self, octave: int, counts: Sequence[int]) -> None:
        """Add values, each as the middle of its bucket, to the first buckets of an octave."""
        values = [place for place, count in enumerate(counts) if count]
        if not values:
            return
        number, total = sum(counts), sum(map(mul, counts, range(BUCKETS, 2 * BUCKETS)))
        middles = (2 * total + number) << octave >> (_BUCKET_BITS + 1)
        low, high = middle_of(octave, values[0]), middle_of(octave, values[-1])
        own, first = self._extend(number, middles, low, high)
        start = (octave + _EXPONENT_BIAS) * BUCKETS - first
        end = start + len(counts)
        own[start:end] = array(own.typecode, map(add, own[start:end], counts))

    def _extend(self, count: int, total: int, low: int, high: int) -> tuple[array[int], int]:
        """Account for new values; return counts that cover them, and the bucket of the first."""
        if not self.count:
            self.minimum, self.maximum = low, high
            self._cover(low, high)
        elif low < self.minimum or high > self.maximum:
            self.minimum, self.maximum = min(self.minimum, low), max(self.maximum, high)
            self._cover(self.minimum, self.maximum)
        self.count += count
        self.total += total
        self._bound += count
        if self._bound > _MAX_COUNTS[self._counts.typecode]:
            self._widen(count)
        return self._counts, self._first

    def _cover(self, low: int, high: int) -> None:
        """Extend the buckets to all values from the minimum to the maximum."""
        first, last = (double >> _SHIFT for double in _bits([low or _ZERO, high or _ZERO]))
        first -= first % BUCKETS
        counts = self._counts
        before = self._first - first if counts else 0
        counts[:0] = array(counts.typecode, bytes(before * counts.itemsize))
        behind = last - last % BUCKETS + BUCKETS - first - len(counts)
        counts.frombytes(bytes(max(0, behind) * counts.itemsize))
        self._first = first

    def _widen(self, count: int) -> None:
        """Change to a type of counts that can hold `count` more in any bucket."""
        self._bound = count + max(self._counts)  # the exact bound
        typecode = next(code for code, high in _MAX_COUNTS.items() if self._bound <= high)
        self._counts = array(typecode, self._counts)


def _bits(values: Sequence[float]) -> memoryview:
    """Return the bits of non-negative values as doubles.

    The leading bits of a double are its octave and the position in it. In one conversion, this
    takes 30 ns a value.
    """
    return memoryview(array("d", values)).cast("B").cast("Q")


def middle_of(octave: int, place: int) -> int:
    """Return the middle of the bucket at a place of an octave."""
    return _middle((octave + _EXPONENT_BIAS) * BUCKETS + place)


def _middle(bucket: int) -> int:
    """Return the middle of a bucket; below 1024 a bucket has a single value."""
    exponent = (bucket >> _BUCKET_BITS) - _EXPONENT_BIAS
    if exponent < 0:
        return 0
    return (2 * (BUCKETS + bucket % BUCKETS) + 1) << exponent >> (_BUCKET_BITS + 1)


def _width(bucket: int) -> int:
    """Return how many integers a bucket has from 1024 on; below, 1 or 0."""
    return 1 << max(0, (bucket >> _BUCKET_BITS) - _EXPONENT_BIAS) >> _BUCKET_BITS
