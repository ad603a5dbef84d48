"""Comparisons of reports."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

import msgspec
import pytest
from msgspec import structs
from peers.simulated_runs import durations, report_of, simulated

from goloagent.report.comparison.compare import METRICS, compare, needed_runs
from goloagent.report.comparison.model import Comparison, Row
from goloagent.report.comparison.sentence import effect, interval, value
from goloagent.report.model import Calls, Limited, Report


def runs(seed: int, number: int, factor: float = 1.0) -> list[Report]:
    """Return short runs of a closed model: the slower, the fewer requests."""
    random = Random(seed)
    reports = [report_of(random, durations(random, factor, 20)) for _ in range(number)]
    return [structs.replace(one, rate=(one.rate or 0) / factor) for one in reports]


def row_of(comparison: Comparison, metric: str) -> Row:
    """Return the row of a metric."""
    return next(row for row in comparison.rows if row.metric == metric)


def with_errors(reports: Sequence[Report], errors: Sequence[int]) -> list[Report]:
    """Return reports with other numbers of errors."""
    return [
        structs.replace(report, results=structs.replace(report.results, valid=800, errors=number))
        for report, number in zip(reports, errors, strict=True)
    ]


def test_slower() -> None:
    """B takes half as long again: each latency is slower, and each row has effect and interval."""
    found = compare(runs(1, 8), runs(2, 8, 1.5))
    assert (found.method, found.regression) == ("runs", True)
    assert [row.metric for row in found.rows] == [
        name for name in METRICS if name != "failed calls"
    ]
    for row in found.rows:
        if row.unit == "s":
            assert (row.verdict, row.regression) == ("slower", True)
            assert row.low is not None
            assert row.high is not None
            assert 0 < row.low < row.effect < row.high
            assert row.effect == pytest.approx(0.5, abs=0.15)
            assert row.p is not None
            assert row.p_adjusted is not None
            assert row.p < row.p_adjusted < 0.05
    rate = row_of(found, "rate")
    assert (rate.verdict, rate.regression) == ("lower", True)
    assert row_of(found, "errors").verdict == "no difference shown"
    assert found.sentence.startswith("B differs from A: rate -3")
    assert found.sentence.endswith("and 4 more (8 and 8 runs).")
    assert (len(found.a), len(set(found.a + found.b))) == (8, 16)


def test_faster() -> None:
    """The sides exchanged, B is faster, which is no regression."""
    found = compare(runs(2, 8, 1.5), runs(1, 8))
    assert row_of(found, "duration p95").verdict == "faster"
    assert row_of(found, "rate").verdict == "higher"
    assert not found.regression


def test_minimum_effect() -> None:
    """A difference that is shown and less than the minimum effect is no regression."""
    found = compare(runs(1, 8), runs(2, 8, 1.5), min_effect=0.8)
    assert row_of(found, "duration p50").verdict == "below the minimum effect"
    assert not found.regression
    assert found.sentence == "No difference is shown (8 and 8 runs)."


def test_errors() -> None:
    """Shares differ by points, and the minimum effect is relative to that of A."""
    a, b = with_errors(runs(1, 6), range(6)), with_errors(runs(2, 6), range(20, 26))
    row = row_of(compare(a, b), "errors")
    assert (row.scale, row.verdict, row.regression) == ("difference", "higher", True)
    assert (effect(row), value(row, row.b)) == ("+2.50 pp", "2.81 %")
    assert interval(row) == "+2.12 to +2.88 pp"
    none = with_errors(runs(1, 6), [0] * 6)
    assert row_of(compare(none, with_errors(b, [1] * 6)), "errors").verdict == "higher"
    assert row_of(compare(none, none), "errors").verdict == "no difference shown"


def test_failed_calls() -> None:
    """They are a row as soon as one call failed."""
    a, b = runs(1, 6), runs(2, 6)
    failing = [
        structs.replace(run, calls=structs.replace(run.calls, failed=number))
        for number, run in enumerate(b, 1)
    ]
    row = row_of(compare(a, failing), "failed calls")
    assert (row.a, row.verdict, row.regression) == (0, "higher", True)


def test_too_few_runs() -> None:
    """Four runs can decide about one metric, and not about all."""
    a, b = runs(1, 4), runs(2, 4, 1.5)
    found = compare(a, b)
    assert {row.verdict for row in found.rows} == {"too few runs"}
    assert found.sentence == (
        "4 and 4 runs are too few to show a difference in 8 metrics: repeat each at least 6 times, "
        "or compare fewer metrics."
    )
    assert not found.regression
    one = compare(a, b, metrics=["duration p95"])
    assert [row.verdict for row in one.rows] == ["slower"]
    assert one.regression


@pytest.mark.parametrize(
    ("rows", "level", "needed"),
    [(0, 0.05, 4), (1, 0.05, 4), (2, 0.05, 5), (6, 0.05, 5), (8, 0.05, 6), (8, 0.01, 7)],
)
def test_needed_runs(rows: int, level: float, needed: int) -> None:
    """So many runs a side can show a difference in so many rows."""
    assert needed_runs(rows, level) == needed


def test_figures_that_are_the_same_in_most_runs() -> None:
    """A percentile is one of few values if the target is steady; that is no lack of runs."""
    sides = runs(1, 8), runs(2, 8)
    for side, odd in zip(sides, (0.0412, 0.0414), strict=True):
        for number, run in enumerate(side):
            assert run.latency.duration is not None
            p50 = odd if number == 0 else 0.0413
            duration = structs.replace(run.latency.duration, p50=p50)
            side[number] = structs.replace(
                run, latency=structs.replace(run.latency, duration=duration)
            )
    found = compare(*sides, metrics=["duration p50"], confidence=0.99)
    assert [row.verdict for row in found.rows] == ["no difference shown"]
    assert found.sentence.startswith("No difference is shown (8 and 8 runs).")


def test_two_runs() -> None:
    """Two runs differ; no more is said, and no regression."""
    random = Random(3)
    a, b = simulated(random, has_timeline=True), simulated(random, 1.6, has_timeline=True)
    found = compare([a], [b])
    assert found.method == "blocks"
    assert found.sentence.startswith("These two runs differ: ")
    assert found.sentence.endswith(
        "That is no more than it says: to compare A with B, repeat each at least 6 times."
    )
    verdicts = {row.verdict for row in found.rows}
    assert verdicts <= {"differs", "no difference shown", "below the minimum effect"}
    row = row_of(found, "duration p50")
    assert (row.verdict, row.regression, found.regression) == ("differs", False, False)
    assert row.low is not None
    assert row.high is not None
    assert row.low < row.effect < row.high
    assert compare([a], [b]) == found


def test_one_run_with_itself() -> None:
    """A run does not differ from itself."""
    run = simulated(Random(3), has_timeline=True)
    found = compare([run], [run])
    assert {row.verdict for row in found.rows} == {"no difference shown"}
    assert {row.effect for row in found.rows} == {0.0}
    assert found.sentence == (
        "These two runs do not differ measurably; to compare A with B, repeat each at least 6 "
        "times."
    )


def test_unequal_numbers() -> None:
    """Eight runs and one are compared by their blocks."""
    random = Random(4)
    a = [simulated(random, seconds=60, has_timeline=True) for _ in range(5)]
    found = compare(a, [simulated(random, 2, seconds=60, has_timeline=True)])
    assert (found.method, row_of(found, "duration p95").verdict) == ("blocks", "differs")
    assert found.sentence.startswith("These runs differ")


@pytest.mark.parametrize("seconds", [0, 59])
def test_no_blocks(seconds: int) -> None:
    """Short runs, and reports without a timeline, are not compared, and their effect is shown."""
    random = Random(5)
    a, b = (
        report_of(random, durations(random, factor, seconds or 90), has_timeline=bool(seconds))
        for factor in (1, 2)
    )
    found = compare([a], [b])
    row = row_of(found, "duration p50")
    assert (row.verdict, row.p, row.low) == ("too few runs", None, None)
    assert row.effect == pytest.approx(1, abs=0.3)
    assert interval(row) == ""
    assert "too short, or their reports have no timeline" in found.sentence


def test_no_figures() -> None:
    """Runs that share no figure have no rows."""
    [run] = runs(1, 1)
    bare = structs.replace(
        run,
        rate=None,
        latency=structs.replace(run.latency, duration=None, iteration=None),
        results=structs.replace(run.results, valid=0),
        calls=structs.replace(run.calls, started=0),
    )
    found = compare([bare] * 4, [run] * 4)
    assert (found.rows, found.regression) == ([], False)
    assert found.sentence == "The runs have no figure in common that can be compared."


def test_values_of_zero() -> None:
    """Durations of zero have a difference and no ratio."""
    a = [report_of(Random(n), [[0] * 50] * 2) for n in range(6)]
    b = [report_of(Random(n), [[2_000_000 + n] * 50] * 2) for n in range(6)]
    row = row_of(compare(a, b), "duration p50")
    assert (row.scale, row.verdict) == ("difference", "slower")
    assert (effect(row), value(row, row.a)) == ("+2.00 ms", "0 ms")


CHANGES: list[tuple[dict[str, Any], str]] = [
    ({"users": 99}, "The planned load of A and B differs."),
    ({"planned_duration": 8}, "The planned load of A and B differs."),
    ({"drive": "self"}, "The drive of the load test of A and B differs."),
    ({"agents": []}, "The number of agents of A and B differs."),
    ({"state": "cancelled"}, "1 of 2 runs of B did not finish (cancelled)."),
    ({"changes": [{"at": 1.0, "rate": 5}]}, "The load was changed during 1 of 2 runs of B."),
    (
        {"limited": [Limited("a", "agent-cpu", 1, 2), Limited("a", "loop-lag", 1, 2)]},
        "The load generator was the limit in 1 of 2 runs of B (agent-cpu, loop-lag): its figures "
        "are those of the generator too.",
    ),
]


@pytest.mark.parametrize(("members", "sentence"), CHANGES)
def test_warnings(members: dict[str, Any], sentence: str) -> None:
    """Conditions that differ are warnings; equal ones are none."""
    a, (first, second) = runs(1, 2), runs(2, 2)
    assert compare(a, [first, second]).warnings == []
    assert sentence in compare(a, [structs.replace(first, **members), second]).warnings


def test_warning_of_drops() -> None:
    """Shares of dropped iterations and of errors that differ are warnings."""
    [a], [b] = runs(1, 1), runs(2, 1)
    dropped = structs.replace(b, calls=Calls(scheduled=1000, dropped=100))
    assert compare([a], [dropped]).warnings == [
        "A dropped 0 % of its iterations and B 10.0 %: the latency lacks those that were not made."
    ]
    [a], [b] = with_errors([a], [0]), with_errors([b], [80])
    assert compare([a], [b]).warnings == [
        "0 % of the results of A are errors and 10.0 % of those of B: the latency includes that of "
        "errors."
    ]


def test_equal_numbers() -> None:
    """A load from an agent may have 6 where one from a file has 6.0."""
    [a], [b] = runs(1, 1), runs(2, 1)
    assert a.planned_duration == 6
    same = structs.replace(b, planned_duration=6.0, load={"start": 4})
    assert compare([structs.replace(a, load={"start": 4.0})], [same]).warnings == []


def test_a_ramp() -> None:
    """Blocks of a ramp are not alike, which a test over runs does not mind."""
    constant, ramp = (
        {"start": 5, "stages": [{"users": 5, "duration": 9}, {"users": users, "duration": 9}]}
        for users in (5, 6)
    )
    warned = ["The load is not constant: the intervals and p are too wide, because blocks differ."]
    for load, number, expected in ((constant, 1, []), (ramp, 1, warned), (ramp, 4, [])):
        some = [structs.replace(run, load=load) for run in runs(1, number)]
        assert compare(some, some).warnings == expected


def test_within_a_side() -> None:
    """Runs of one side under different loads are a warning too."""
    first, second = runs(1, 2)
    both = [first, structs.replace(second, users=9)]
    assert compare(both, both).warnings == ["The planned load differs between the runs."]


def test_json() -> None:
    """A comparison is read again from its JSON."""
    found = compare(runs(1, 6), runs(2, 6, 1.5))
    assert msgspec.json.decode(msgspec.json.encode(found), type=Comparison) == found
