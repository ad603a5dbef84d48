"""A histogram of durations that tells percentiles within 0.1 %, whatever their range.

Buckets are logarithmic: each octave (from a power of two to the next) is cut into 512 of equal
width, and a value is told as the middle of its bucket, so it is wrong by 1/1024 of itself at most.
An octave costs 1 KiB, and so do those between two that have values: 8 to 10 KiB for latencies of 1
to 500 ms. Kept libraries do the same with some 270 (hdrhistogram) and 80 KiB (ddsketch) and take
1 µs and more a value, which is too much for a thousand rows and a million values; numpy would save
0.2 µs a value and cost 12 MiB. Refuses to know whose durations they are, and any clock.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from itertools import accumulate
from operator import add

BUCKETS = 512
"""Buckets in an octave."""

# Of a double's bits: its exponent, and as much of its fraction as tells the bucket.
_FRACTION_BITS = 52
_BUCKET_BITS = BUCKETS.bit_length() - 1
_SHIFT = _FRACTION_BITS - _BUCKET_BITS
_EXPONENT_BIAS = 1023

_MOST = {"H": 2**16 - 1, "I": 2**32 - 1, "Q": 2**64 - 1}
"""The types of counts, each with the largest that it holds."""

# The bucket of zero, which has no logarithm, is next to that of one.
_ZERO = 0.5


class Histogram:
    """Counts of integers; `count`, `total`, `least` and `most` are exact, and 0 without values.

    A value below zero, as of a clock that was set back, counts as zero.
    """

    __slots__ = ("_bound", "_counts", "_first", "count", "least", "most", "total")

    def __init__(self) -> None:
        # Of the buckets from `_first` on, where an octave begins; none is above `_bound`.
        self._counts = array("H")
        self._first = 0
        self._bound = 0
        self.count = self.total = self.least = self.most = 0

    def record(self, values: Sequence[int], also: Histogram | None = None) -> None:
        """Count values, here and in another histogram: 64 at a time take 0.3 µs each."""
        if not values:
            return
        least, most = min(values), max(values)
        if least < 0:
            values = [max(0, value) for value in values]
            least, most = max(0, least), max(0, most)
        total = sum(values)
        doubles = _bits(values if least else [value or _ZERO for value in values])
        counts, first = self._extend(len(values), total, least, most)
        if also is None:
            for double in doubles:
                counts[(double >> _SHIFT) - first] += 1
        else:
            # The fast path for two: a bucket is found once, which is most of the work.
            others, start = also._extend(len(values), total, least, most)
            for double in doubles:
                bucket = double >> _SHIFT
                counts[bucket - first] += 1
                others[bucket - start] += 1

    def merge(self, other: Histogram) -> None:
        """Count every value of another histogram too."""
        if not other.count:
            return
        theirs = other._counts
        counts, first = self._extend(other.count, other.total, other.least, other.most)
        start = other._first - first
        end = start + len(theirs)
        counts[start:end] = array(counts.typecode, map(add, counts[start:end], theirs))

    def quantiles(self, *thousandths: int) -> list[int]:
        """Return the value at each quantile, given in ascending order, or 0 without values.

        By nearest rank: the quantile `q` of `n` values in order is the one at place
        `ceil(q / 1000 * n)`, counted from one. None is below the least value or above the largest.
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
                    values.append(min(max(_middle(bucket), self.least), self.most))
            before = end
        return values

    def _extend(self, count: int, total: int, least: int, most: int) -> tuple[array[int], int]:
        """Take values into account; return counts with room for them, and whose is the first."""
        if not self.count:
            self.least, self.most = least, most
            self._reach(least, most)
        elif least < self.least or most > self.most:
            self.least, self.most = min(self.least, least), max(self.most, most)
            self._reach(self.least, self.most)
        self.count += count
        self.total += total
        self._bound += count
        if self._bound > _MOST[self._counts.typecode]:
            self._widen(count)
        return self._counts, self._first

    def _reach(self, least: int, most: int) -> None:
        """Have buckets for all values from the least to the most."""
        first, last = (double >> _SHIFT for double in _bits([least or _ZERO, most or _ZERO]))
        first -= first % BUCKETS
        counts = self._counts
        before = self._first - first if counts else 0
        counts[:0] = array(counts.typecode, bytes(before * counts.itemsize))
        behind = last - last % BUCKETS + BUCKETS - first - len(counts)
        counts.frombytes(bytes(max(0, behind) * counts.itemsize))
        self._first = first

    def _widen(self, count: int) -> None:
        """Have a type of counts that holds so much more in any."""
        self._bound = count + max(self._counts)  # the bound was of values in many buckets
        typecode = next(code for code, most in _MOST.items() if self._bound <= most)
        self._counts = array(typecode, self._counts)


def _bits(values: Sequence[float]) -> memoryview:
    """Return the bits of each value, none of them negative, as a double.

    The leading bits of a double are the octave and, behind it, the place in it: a double is a
    logarithm already. All in one go this takes 30 ns a value.
    """
    return memoryview(array("d", values)).cast("B").cast("Q")


def _middle(bucket: int) -> int:
    """Return the value for which a bucket stands; below 1024 a bucket has one value only."""
    exponent = (bucket >> _BUCKET_BITS) - _EXPONENT_BIAS
    if exponent < 0:
        return 0
    return (2 * (BUCKETS + bucket % BUCKETS) + 1) << exponent >> (_BUCKET_BITS + 1)
