"""The moving-block bootstrap: what else runs could have shown, had their blocks come differently.

H. R. Künsch: "The jackknife and the bootstrap for general stationary observations", 1989. Requests
near each other are alike, as the level of a system drifts, so that blocks are drawn and not
requests. Draws of few blocks spread too little; they are expanded as in the expanded percentile
interval of T. Hesterberg, The American Statistician 69, 2015.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from itertools import accumulate
from math import sqrt
from random import Random
from statistics import NormalDist, median
from sys import byteorder

from attrs import frozen

_BYTES = 8
Counts = Sequence[int]
"""The counts of a window, each less than 2**40: there are less than 2**24 windows."""


@frozen
class Blocks:
    """All blocks of consecutive windows that the runs of one side have; none spans two runs.

    A block is one long integer with 64 bits a count, so that the sum of blocks is one of integers.

    Args:
        blocks: of all runs.
        number: of blocks that are as long as the runs together.
        size: of the counts of a window.
    """

    blocks: list[int]
    number: int
    size: int

    @classmethod
    def of(cls, runs: Sequence[Sequence[Counts]], length: int) -> Blocks:
        """Return the blocks of `length` windows; runs that are shorter have none."""
        blocks: list[int] = []
        for run in runs:
            sums = list(accumulate(map(_pack, run), initial=0))
            blocks += [end - start for start, end in zip(sums, sums[length:], strict=False)]
        number = sum(len(run) // length for run in runs)
        return cls(blocks, number, max((len(run[0]) for run in runs if run), default=0))

    def draw(self, random: Random) -> array[int]:
        """Return the counts of as many blocks as the runs have, drawn with replacement."""
        total = sum(random.choices(self.blocks, k=self.number))
        return array("Q", total.to_bytes(self.size * _BYTES, byteorder))

    def draws(self, number: int, seed: int) -> Iterator[array[int]]:
        """Yield the counts of `number` draws; the same for the same seed."""
        random = Random(seed)
        for _ in range(number):
            yield self.draw(random)


@frozen
class Difference:
    """How the draws of two sides differ: the interval of all but the outermost, and p."""

    low: float
    high: float
    p: float


def difference(draws: Sequence[float], blocks: int, confidence: float) -> Difference:
    """Return the percentile interval of differences, and the two-sided p that there is none.

    Args:
        blocks: of the side that has fewer, at least two; the draws are expanded for them.
    """
    centre, factor = median(draws), _expansion(blocks, confidence)
    ordered = sorted(centre + factor * (draw - centre) for draw in draws)
    outside = int((1 - confidence) / 2 * len(ordered))
    below = sum(draw <= 0 for draw in ordered)
    above = sum(draw >= 0 for draw in ordered)
    p = min(1.0, 2 * (min(below, above) + 1) / (len(ordered) + 1))
    return Difference(ordered[outside], ordered[-1 - outside], p)


def _expansion(blocks: int, confidence: float) -> float:
    """Return by how much a t interval is wider than one by the draws of as many blocks."""
    z, freedom = NormalDist().inv_cdf((1 + confidence) / 2), blocks - 1
    # The quantile of Student's t by its expansion (Abramowitz and Stegun, 26.7.5).
    t = z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
    return t / z * sqrt(blocks / freedom)


def _pack(counts: Counts) -> int:
    return int.from_bytes(array("Q", counts).tobytes(), byteorder)
