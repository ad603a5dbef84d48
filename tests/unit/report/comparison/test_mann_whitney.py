"""The rank tests and the shift, compared with published figures and with all divisions."""

from __future__ import annotations

from itertools import combinations
from random import Random

import pytest

from goloagent.report.comparison.hodges_lehmann import hodges_lehmann
from goloagent.report.comparison.mann_whitney import MAX_EXACT, least_p, mann_whitney
from goloagent.report.comparison.rank_sums import RankSums, doubled_ranks

# Permeability constants of the human chorioamnion: M. Hollander, D. A. Wolfe: "Nonparametric
# Statistical Methods", 1973, example 69; also the example of R's `wilcox.test`.
TERM = [0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46]
EARLY = [1.15, 0.88, 0.90, 0.74, 1.21]


def test_published_example() -> None:
    """P, estimate and interval are those of the book and of R."""
    assert mann_whitney(TERM, EARLY) == pytest.approx(0.2544, abs=5e-5)
    shift = hodges_lehmann(EARLY, TERM, 0.95)
    assert shift.estimate == pytest.approx(0.305)
    assert (shift.low, shift.high) == (pytest.approx(-0.15), pytest.approx(0.76))


@pytest.mark.parametrize("seed", range(12))
def test_all_divisions(seed: int) -> None:
    """P is the share of divisions that are as extreme, twice, also with ties."""
    random = Random(seed)
    a = [random.randrange(6) for _ in range(random.randint(1, 5))]
    b = [random.randrange(6) + 1 for _ in range(random.randint(1, 5))]
    ranks = doubled_ranks([*a, *b])
    seen = sum(ranks[: len(a)])
    sums = [sum(chosen) for chosen in combinations(ranks, len(a))]
    low, high = sum(one <= seen for one in sums), sum(one >= seen for one in sums)
    assert mann_whitney(a, b) == pytest.approx(min(1, 2 * min(low, high) / len(sums)))


def test_sides_are_alike() -> None:
    """P is the same with the sides exchanged, and the shift is its negative."""
    assert mann_whitney(TERM, EARLY) == pytest.approx(mann_whitney(EARLY, TERM))
    there, back = hodges_lehmann(TERM, EARLY, 0.9), hodges_lehmann(EARLY, TERM, 0.9)
    assert there.low is not None
    assert back.high is not None
    assert (there.estimate, there.low) == (-back.estimate, -back.high)


def test_many_values() -> None:
    """Beyond the exact distribution, p is scipy's of ``method="asymptotic"``; version 1.17."""
    a = [round(n * 1.7 % 13, 2) for n in range(1, 31)]
    b = [round(n * 2.3 % 13 + 2, 2) for n in range(1, 31)]
    assert mann_whitney(a, b) == pytest.approx(0.09331349156526399)
    tied = [n * 7 % 5 for n in range(30)], [n * 7 % 5 + (n % 3 == 0) for n in range(28)]
    assert mann_whitney(*tied) == pytest.approx(0.3964406013416816)


@pytest.mark.parametrize("digits", [1, 9])
def test_where_the_methods_meet(digits: int) -> None:
    """The approximation is near the exact figure, without and with ties, where it begins."""
    random, half = Random(5), MAX_EXACT // 2 + 1
    for mean in (0, 0.3, 0.6):
        a, b = ([round(random.gauss(at, 1), digits) for _ in range(half)] for at in (0, mean))
        ranks = doubled_ranks([*a, *b])
        exact = RankSums(ranks, half).two_sided(sum(ranks[:half]))
        assert mann_whitney(a, b) == pytest.approx(exact, rel=0.15, abs=0.002)


def test_equal_values() -> None:
    """Values that are all equal differ in nothing."""
    assert mann_whitney([3, 3, 3, 3], [3, 3, 3, 3]) == 1
    assert mann_whitney([1] * 40, [1] * 40) == 1
    assert hodges_lehmann([3] * 4, [3] * 4, 0.95).estimate == 0


@pytest.mark.parametrize(("runs", "p"), [(3, 1 / 10), (4, 1 / 35), (5, 1 / 126), (8, 1 / 6435)])
def test_least_p(runs: int, p: float) -> None:
    """No values of so few runs can have a lower p."""
    random = Random(runs)
    a, b = ([random.random() for _ in range(runs)] for _ in range(2))
    assert least_p(a, b) == pytest.approx(p)
    assert mann_whitney(sorted([*a, *b])[:runs], sorted([*a, *b])[runs:]) == pytest.approx(p)


def test_rank_sums() -> None:
    """The probabilities of a small case, by hand: two of the ranks 1, 2, 3 sum to 3, 4 or 5."""
    sums = RankSums([1, 2, 3], 2)
    assert [sums.at_most(total) for total in (-1, 2, 3, 4, 5, 99)] == [
        0, 0, pytest.approx(1 / 3), pytest.approx(2 / 3), 1, 1
    ]  # fmt: skip
    assert doubled_ranks([5, 1, 5, 9]) == [5, 2, 5, 8]


@pytest.mark.parametrize("runs", [4, 6, 10, 30])
def test_interval_covers(runs: int) -> None:
    """The interval has the true shift in at least 95 of 100 cases, and not in all."""
    random = Random(runs)
    covered = 0
    for _ in range(400):
        a, b = ([random.gauss(mean, 1) for _ in range(runs)] for mean in (0, 2))
        shift = hodges_lehmann(a, b, 0.95)
        assert shift.low is not None
        assert shift.high is not None
        assert shift.low <= shift.estimate <= shift.high
        covered += shift.low <= 2 <= shift.high
    assert 372 <= covered < 400  # 4 deviations below 95 %


def test_too_few_for_an_interval() -> None:
    """Three values a side have no interval of 95 %, and four none of 99 %."""
    assert hodges_lehmann([1, 2, 3], [4, 5, 6], 0.95).low is None
    assert hodges_lehmann([1, 2, 3, 4], [5, 6, 7, 8], 0.99).low is None
    assert hodges_lehmann([1, 2, 3, 4], [5, 6, 7, 8], 0.95).low == 1
