"""The shift between two samples: the median of all differences, with an interval.

J. L. Hodges, E. L. Lehmann: "Estimates of location based on rank tests", 1963. The interval has
the shifts that a Mann-Whitney test does not reject.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import floor, sqrt
from statistics import NormalDist, median

from attrs import frozen

from goloagent.report.comparison.mann_whitney import MAX_EXACT
from goloagent.report.comparison.rank_sums import RankSums


@frozen
class Shift:
    """How much greater the second sample is; the ends are None if there are too few values."""

    estimate: float
    low: float | None
    high: float | None


def hodges_lehmann(a: Sequence[float], b: Sequence[float], confidence: float) -> Shift:
    """Return the shift from `a` to `b`, neither empty.

    With ties, the interval is as wide as without, or wider than it has to be.
    """
    differences = sorted(second - first for first in a for second in b)
    outside = _outside(len(a), len(b), confidence)
    estimate = median(differences)
    if not outside:
        return Shift(estimate, None, None)
    return Shift(estimate, differences[outside - 1], differences[-outside])


@lru_cache(maxsize=64)
def _outside(size_a: int, size_b: int, confidence: float) -> int:
    """Return the place of the interval's lower end among the differences, from 1 on; 0 is none.

    It is the greatest place of which fewer differences are negative with a probability of less
    than half of 1 - `confidence`, if the samples are equal.
    """
    tail, size = (1 - confidence) / 2, size_a + size_b
    if size > MAX_EXACT:
        deviation = sqrt(size_a * size_b * (size + 1) / 12)
        return max(0, floor(size_a * size_b / 2 + NormalDist().inv_cdf(tail) * deviation))
    sums = RankSums(range(1, size + 1), size_a)
    least = size_a * (size_a + 1) // 2
    place = 0
    while sums.at_most(least + place) <= tail:
        place += 1
    return place
