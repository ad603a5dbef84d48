"""The table of `make bench`; what it measures needs the real agent, and no test asserts a time."""

from __future__ import annotations

import sys
from pathlib import Path

# Behind everything else: the agent that is tested is the one that is installed.
sys.path.append(str(Path(__file__).parents[2]))

from bench.row import Row, table, verdict


def test_a_ratio_is_held_against_the_target_where_there_is_one() -> None:
    """A row with a peer reaches its target by the ratio, whatever the figure."""
    assert Row("reading", 10.0, "lines/s", 4.0, 2.5, 2.5).reached
    assert not Row("reading", 10.0, "lines/s", 5.0, 2.0, 2.5).reached


def test_a_figure_alone_is_held_against_the_target() -> None:
    """A row without a peer reaches its target by the figure."""
    assert Row("memory", 96.0, "MiB", target=96, at_least=False).reached
    assert not Row("memory", 97.0, "MiB", target=96, at_least=False).reached


def test_a_row_without_a_target_has_no_verdict() -> None:
    """What is there for information neither reaches nor misses anything."""
    assert Row("reading", 10.0, "lines/s").reached is None
    assert table([Row("reading", 10.0, "lines/s")]).endswith("| reading | 10 lines/s |  |  |  |  |")


def test_the_verdict_names_what_was_missed() -> None:
    """At the end it stands which targets were not reached; rows without one do not count."""
    rows = [Row("a", 1, "s", target=1), Row("b", 1, "s", target=2), Row("c", 1, "s")]
    assert verdict(rows) == "Of 2 targets 1 were not reached:\nb"
    assert verdict(rows[:1]) == "All of 1 targets were reached."
