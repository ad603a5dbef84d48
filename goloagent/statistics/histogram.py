"""A histogram of durations that tells percentiles within 0.1 %, whatever their range.

Buckets are logarithmic: each octave (from a power of two to the next) is cut into 512 of equal
width, and a value is told as the middle of its bucket, so it is wrong by 1/1024 of itself at most.
An octave costs 1 KiB, from the first value in it on: 8 to 10 KiB for latencies of 1 to 500 ms. Kept
libraries do the same with some 270 (hdrhistogram) and 80 KiB (ddsketch) and take 1 µs and more a
value, which is too much for a thousand rows and a million values; numpy would save 0.3 µs a value
and cost 14 MiB. Refuses to know whose durations they are, and any clock.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate
from operator import add

BUCKETS = 512
"""Buckets in an octave."""

# Of a double's bits: its exponent, and as much of its fraction as tells the bucket.
_FRACTION_BITS = 52
_BUCKET_BITS = BUCKETS.bit_length() - 1
_EXPONENT_BIAS = 1023

_WIDER = {"H": "I", "I": "Q"}
"""The next larger type of counts, for octaves with more than 65,535 values in one bucket."""


class Histogram:
    """Counts of integers; `count`, `total`, `least` and `most` are exact.

    A value below zero, as of a clock that was set back, counts as zero. Values are put into buckets
    `most_pending` at a time, which takes a third of the time that one by one would. Whatever is
    asked counts them all.
    """

    __slots__ = ("_count", "_least", "_most", "_most_pending", "_octaves", "_pending", "_total")

    def __init__(self, most_pending: int = 64) -> None:
        self._most_pending = most_pending
        self._pending: list[int] = []
        self._octaves: dict[int, array[int]] = {}
        self._count = self._total = self._least = self._most = 0

    def record(self, value: int) -> None:
        """Count a value."""
        self._pending.append(value)
        if len(self._pending) >= self._most_pending:
            self.settle()

    def record_all(self, values: Sequence[int]) -> None:
        """Count values, any number of them."""
        self._pending += values
        if len(self._pending) >= self._most_pending:
            self.settle()

    @property
    def count(self) -> int:
        """How many values there are."""
        return self._count + len(self._pending)

    @property
    def total(self) -> int:
        """The sum of the values."""
        self.settle()
        return self._total

    @property
    def least(self) -> int:
        """The smallest value, or 0 when there is none."""
        self.settle()
        return self._least

    @property
    def most(self) -> int:
        """The largest value, or 0 when there is none."""
        self.settle()
        return self._most

    def settle(self) -> None:
        """Put what is pending into its buckets; until more comes, any thread may read."""
        values = self._pending
        if not values:
            return
        self._pending = []
        least, most = min(values), max(values)
        if least < 0:
            values = [max(0, value) for value in values]
            least, most = max(0, least), max(0, most)
        self._extend(least, most)
        self._count += len(values)
        self._total += sum(values)
        for bucket, count in Counter(_buckets(values)).items():
            octave = bucket >> _BUCKET_BITS
            if octave not in self._octaves:
                self._octaves[octave] = array("H", bytes(BUCKETS * 2))
            place = bucket & (BUCKETS - 1)
            try:
                self._octaves[octave][place] += count
            except OverflowError:
                counts = self._octaves[octave].tolist()
                counts[place] += count
                self._octaves[octave] = _counts(counts, "I")

    def merge(self, other: Histogram) -> None:
        """Count every value of another histogram too."""
        self.settle()
        other.settle()
        if not other._count:
            return
        self._extend(other._least, other._most)
        self._count += other._count
        self._total += other._total
        for octave, theirs in other._octaves.items():
            ours = self._octaves.get(octave)
            self._octaves[octave] = (
                theirs[:] if ours is None else _counts(list(map(add, ours, theirs)), ours.typecode)
            )

    def quantiles(self, *thousandths: int) -> list[int]:
        """Return the value at each quantile by nearest rank, or 0 without values.

        The quantile `q` of `n` values in order is the one at place `ceil(q / 1000 * n)`, counted
        from one: of 990, at least 99 % of the values are not larger. None is below the least value
        or above the largest.
        """
        self.settle()
        if not self._count:
            return [0] * len(thousandths)
        octaves = sorted(self._octaves)
        ends = list(accumulate(sum(self._octaves[octave]) for octave in octaves))
        values = []
        for thousandth in thousandths:
            rank = max(1, -(-thousandth * self._count // 1000))
            at = bisect_left(ends, rank)
            before = ends[at - 1] if at else 0
            place = bisect_left(list(accumulate(self._octaves[octaves[at]])), rank - before)
            values.append(min(max(_middle(octaves[at], place), self._least), self._most))
        return values

    def _extend(self, least: int, most: int) -> None:
        self._least = min(self._least, least) if self._count else least
        self._most = max(self._most, most)


def _buckets(values: Sequence[int]) -> list[int]:
    """Return the bucket of each value, none of them negative.

    The leading bits of a double are the octave and, behind it, the place in it: a double is a
    logarithm already. All in one go this takes 50 ns a value.
    """
    bits = memoryview(array("d", values)).cast("B").cast("Q")
    shift = _FRACTION_BITS - _BUCKET_BITS
    return [value >> shift for value in bits]


def _middle(octave: int, place: int) -> int:
    """Return the value for which a bucket stands; below 1024 a bucket has one value only."""
    if not octave:
        return 0
    exponent = octave - _EXPONENT_BIAS
    return (2 * (BUCKETS + place) + 1) << exponent >> (_BUCKET_BITS + 1)


def _counts(counts: list[int], typecode: str) -> array[int]:
    """Return an array of counts, of the type given or the next that holds them."""
    try:
        return array(typecode, counts)
    except OverflowError:
        return _counts(counts, _WIDER[typecode])
