"""The Mann-Whitney test: whether one of two samples tends to have the greater values.

H. B. Mann, D. R. Whitney: "On a test of whether one of two random variables is stochastically
larger than the other", 1947; ties as in W. J. Conover: "Practical Nonparametric Statistics", 5.1.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import sqrt
from statistics import NormalDist

from goloagent.report.comparison.rank_sums import RankSums, doubled_ranks

MAX_EXACT = 50
"""Values of both samples together up to which the distribution is exact: 10 ms."""


def mann_whitney(a: Sequence[float], b: Sequence[float]) -> float:
    """Return the two-sided p of two samples, neither empty; 1 if all values are equal.

    Up to `MAX_EXACT` values it is exact, of all divisions of the values into two samples, also
    with ties. Beyond, it is the normal approximation, corrected for ties and continuity.
    """
    ranks = doubled_ranks([*a, *b])
    if len(ranks) <= MAX_EXACT:
        return RankSums(ranks, len(a)).two_sided(sum(ranks[: len(a)]))
    deviation = _deviation(ranks, len(a), len(b))
    if not deviation:
        return 1.0
    distance = abs(sum(ranks[: len(a)]) / 2 - len(a) * (len(ranks) + 1) / 2)
    return min(1.0, 2 * NormalDist().cdf(-max(0.0, distance - 0.5) / deviation))


def least_p(a: Sequence[float], b: Sequence[float]) -> float:
    """Return the p that the values of two samples would have if they did not overlap."""
    ordered = sorted([*a, *b])
    halves = ordered[: len(a)], ordered[len(a) :]
    others = ordered[len(b) :], ordered[: len(b)]
    return min(mann_whitney(*halves), mann_whitney(*others))


def _deviation(ranks: Sequence[int], size_a: int, size_b: int) -> float:
    """Return the standard deviation of the sum of the ranks of the first sample."""
    size = size_a + size_b
    ties = sum(count**3 - count for count in Counter(ranks).values())
    return sqrt(size_a * size_b / 12 * (size + 1 - ties / (size * (size - 1))))
