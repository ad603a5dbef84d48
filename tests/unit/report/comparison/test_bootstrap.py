"""The moving-block bootstrap."""

from __future__ import annotations

from random import Random
from statistics import NormalDist

import pytest

from goloagent.report.comparison.bootstrap import Blocks, difference


def test_blocks() -> None:
    """A block is consecutive windows of one run, and there is one from each window on."""
    blocks = Blocks.of([[[1, 10], [2, 20], [4, 40]], [[8, 80], [16, 160]]], 2)
    random = Random(1)
    one = Blocks(blocks.blocks, 1, blocks.size)
    drawn = {tuple(one.draw(random)) for _ in range(100)}
    assert drawn == {(3, 30), (6, 60), (24, 240)}
    assert blocks.number == 2


def test_draws() -> None:
    """A draw is as many blocks as the run has, and the same seed gives the same draws."""
    blocks = Blocks.of([[[1, 2**39] for _ in range(40)]], 10)
    draws = list(blocks.draws(5, 7))
    assert [list(draw) for draw in draws] == [[40, 40 * 2**39]] * 5
    varied = Blocks.of([[[n] for n in range(40)]], 10)
    first, same, other = (list(varied.draws(5, seed)) for seed in (7, 7, 8))
    assert first == same != other


def test_short_runs() -> None:
    """A run that is shorter than a block has none."""
    assert Blocks.of([[[1]] * 9], 10).number == 0
    assert Blocks.of([], 10).blocks == []


def test_difference() -> None:
    """The interval leaves 2.5 % of the draws out on either side."""
    many = 10**9
    found = difference([n / 100 for n in range(-10, 190)], many, 0.95)
    assert (found.low, found.high) == (pytest.approx(-0.05), pytest.approx(1.84))
    assert found.p == pytest.approx(2 * 12 / 201)
    assert difference([0.0] * 10, 6, 0.95).p == 1
    assert difference([1.0] * 1999, 6, 0.95).p == pytest.approx(0.001)


@pytest.mark.parametrize(
    ("blocks", "confidence", "t"),
    [(6, 0.95, 2.5706), (12, 0.95, 2.2010), (12, 0.99, 3.1058), (31, 0.95, 2.0423)],
)
def test_few_blocks(blocks: int, confidence: float, t: float) -> None:
    """The interval is that of Student's t, whose quantile is in any table."""
    draws = [NormalDist().inv_cdf(n / 2000) for n in range(1, 2000)]
    found = difference(draws, blocks, confidence)
    assert found.high == pytest.approx(t * (blocks / (blocks - 1)) ** 0.5, rel=0.02)
    assert found.low == pytest.approx(-found.high)


@pytest.mark.parametrize("seed", range(3))
def test_spread(seed: int) -> None:
    """The draws' means spread as the means of independent runs do."""
    random = Random(seed)
    values = [round(random.gauss(1000, 100)) for _ in range(2000)]
    means = [draw[0] / 2000 for draw in Blocks.of([[[v] for v in values]], 10).draws(500, 1)]
    centre = sum(means) / 500
    spread = (sum((mean - centre) ** 2 for mean in means) / 500) ** 0.5
    assert spread == pytest.approx(100 / 2000**0.5, rel=0.2)
