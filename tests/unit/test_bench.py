"""The table of `make bench`, without its measurements."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

# Last, because the tests use the installed agent.
sys.path.append(str(Path(__file__).parents[2]))

from bench.arrivals import chi_square
from bench.row import Row, table, verdict


def test_a_row_with_a_peer_reaches_its_target_by_the_ratio() -> None:
    """Its number does not matter."""
    assert Row("reading", 10.0, "lines/s", 4.0, 2.5, 2.5).reached
    assert not Row("reading", 10.0, "lines/s", 5.0, 2.0, 2.5).reached


def test_a_row_without_a_peer_reaches_its_target_by_the_number() -> None:
    """The target is a maximum if `at_least` is false."""
    assert Row("memory", 96.0, "MiB", target=96, at_least=False).reached
    assert not Row("memory", 97.0, "MiB", target=96, at_least=False).reached


def test_a_row_without_a_target_has_no_verdict() -> None:
    """Its cell in the table is empty."""
    assert Row("reading", 10.0, "lines/s").reached is None
    assert table([Row("reading", 10.0, "lines/s")]).endswith("| reading | 10 lines/s |  |  |  |  |")


def test_the_verdict_names_missed_targets() -> None:
    """Rows without a target do not count."""
    rows = [Row("a", 1, "s", target=1), Row("b", 1, "s", target=2), Row("c", 1, "s")]
    assert verdict(rows) == "Of 2 targets 1 were not reached:\nb"
    assert verdict(rows[:1]) == "All of 1 targets were reached."


def test_the_chi_square_test_tells_poisson_counts_from_others() -> None:
    """Its p-value agrees with tables, and is small if counts vary too much or too little."""
    # The 5 % and the 99 % point of the distribution with 10 degrees of freedom.
    for statistic, expected in ((18.307, 0.1), (2.558, 0.02)):
        deviation = (statistic / 10 * 5000) ** 0.5
        p_value = chi_square([5000 + deviation] * 5 + [5000 - deviation] * 5, 5000)
        assert p_value == pytest.approx(expected, rel=0.1)
    assert chi_square([5000.0] * 10, 5000) < 0.001
    assert chi_square([4700.0, 5300.0] * 5, 5000) < 0.001
