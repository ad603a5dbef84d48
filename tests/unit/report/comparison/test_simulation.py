"""How often equal systems are called different, and how often a slower one is found."""

from __future__ import annotations

from itertools import chain
from random import Random

import pytest
from peers.simulated_runs import durations, simulated

from goloagent.report.comparison.compare import compare
from goloagent.report.comparison.mann_whitney import mann_whitney
from goloagent.report.comparison.model import Comparison

RUNS = 8
SLOWER = 1.15


def is_different(found: Comparison) -> bool:
    """Return whether any metric is called different, however little."""
    return any(row.verdict not in ("no difference shown", "too few runs") for row in found.rows)


def count_by_runs(random: Random, pairs: int) -> tuple[int, int]:
    """Return how many equal pairs are called different, and how many slower ones are found."""
    equal = found = 0
    for _ in range(pairs):
        a, b = ([simulated(random) for _ in range(RUNS)] for _ in range(2))
        slower = [simulated(random, SLOWER) for _ in range(RUNS)]
        equal += is_different(compare(a, b, min_effect=0))
        found += compare(a, slower).regression
    return equal, found


def count_by_blocks(random: Random, pairs: int) -> int:
    """Return how many equal pairs of two runs are called different."""
    return sum(
        is_different(
            compare(*([simulated(random, has_timeline=True)] for _ in range(2)), min_effect=0)
        )
        for _ in range(pairs)
    )


def count_by_requests(random: Random, pairs: int) -> int:
    """Return how many equal pairs of two runs a test on their requests calls different.

    It takes each request for one observation of its own. They are not: all requests of some seconds
    have the same level, so that thousands of them are worth a few dozen observations, and p is far
    too small. No requests are compared for that reason; see `compare`.
    """
    return sum(
        mann_whitney(*(list(chain.from_iterable(durations(random))) for _ in range(2))) < 0.05
        for _ in range(pairs)
    )


def test_by_runs() -> None:
    """Of 20 equal pairs at most 1 is called different, and of 20 slower ones at least 19 found."""
    equal, found = count_by_runs(Random(1), 20)
    assert equal <= 1
    assert found >= 19


def test_requests_are_no_sample() -> None:
    """A test on raw requests calls most equal pairs different."""
    assert count_by_requests(Random(1), 20) >= 12


@pytest.mark.full
def test_many_pairs(capsys: pytest.CaptureFixture[str]) -> None:
    """The same shares of 200 pairs; a test of blocks is between the two."""
    random, pairs = Random(2), 200
    equal, found = count_by_runs(random, pairs)
    requests, blocks = count_by_requests(random, pairs), count_by_blocks(random, pairs // 4)
    with capsys.disabled():
        print(
            f"\n{RUNS} runs a side: {equal / pairs:.1%} of equal pairs called different, "
            f"{found / pairs:.1%} of +15 % found; equal pairs called different by requests: "
            f"{requests / pairs:.1%}, by blocks: {4 * blocks / pairs:.1%}"
        )
    assert equal <= pairs // 20
    assert found >= 0.95 * pairs
    assert 4 * blocks < requests
    assert requests >= 0.6 * pairs
