"""Compares runs: what differs, by how much, and whether chance explains it."""

from __future__ import annotations

from collections.abc import Sequence
from math import comb

from goloagent.report.comparison.conditions import ramps, warnings
from goloagent.report.comparison.estimates import MIN_RUNS, Estimate, by_blocks, by_runs
from goloagent.report.comparison.holm import holm
from goloagent.report.comparison.measures import FAILED, MEASURES, figures_of
from goloagent.report.comparison.model import Comparison, Method, Row, RowVerdict
from goloagent.report.comparison.sentence import sentence
from goloagent.report.model import Report

MIN_EFFECT = 0.05
CONFIDENCE = 0.95
MAX_RUNS = 200
METRICS = tuple(measure.name for measure in MEASURES)


def compare(
    a: Sequence[Report],
    b: Sequence[Report],
    *,
    min_effect: float = MIN_EFFECT,
    confidence: float = CONFIDENCE,
    metrics: Sequence[str] = METRICS,
) -> Comparison:
    """Return how the runs of B differ from those of A, at least one of each.

    With `MIN_RUNS` on each side, the runs are the values that are tested. The requests of a run are
    no such values: they are alike because the level of a system drifts, so that a test of them
    finds a difference between almost any two runs.

    Args:
        min_effect: of the value of A, from which on a difference counts.
        confidence: of the intervals, and 1 less the level of the tests.
        metrics: those of `METRICS` to compare; fewer need fewer runs.
    """
    figures = [figures_of(run) for run in a], [figures_of(run) for run in b]
    is_by_runs = min(len(a), len(b)) >= MIN_RUNS
    estimates = [
        estimate
        for estimate in (
            by_runs(*figures, confidence) if is_by_runs else by_blocks(a, b, figures, confidence)
        )
        if estimate.measure.name in metrics and not _is_without_failures(estimate)
    ]
    method: Method = "runs" if is_by_runs else "blocks"
    level = 1 - confidence
    rows = _rows(estimates, method, min_effect, level, min(len(a), len(b)))
    return Comparison(
        a=[run.run for run in a],
        b=[run.run for run in b],
        method=method,
        confidence=confidence,
        min_effect=min_effect,
        sentence=sentence(rows, method, (len(a), len(b)), needed_runs(len(rows), level)),
        rows=rows,
        warnings=[*warnings(a, b), *([] if is_by_runs else ramps(a, b))],
        regression=any(row.regression for row in rows),
    )


def needed_runs(rows: int, level: float) -> int:
    """Return the runs a side with which as many rows can show a difference."""
    runs = MIN_RUNS
    while 2 * rows / comb(2 * runs, runs) > level:
        runs += 1
    return runs


def _is_without_failures(estimate: Estimate) -> bool:
    """Return whether it is of failed calls and there are none."""
    return estimate.measure is FAILED and estimate.is_constant and not estimate.a


def _rows(
    estimates: Sequence[Estimate], method: Method, min_effect: float, level: float, runs: int
) -> list[Row]:
    """Return the rows, with p corrected for those that are tested.

    A figure that is the same in all runs is not one of them: no chance can make it differ. One that
    is the same in most has a large p, although there are enough `runs` on each side.
    """
    tested = [one for one in estimates if one.p is not None and not one.is_constant]
    adjusted = dict(zip(tested, holm([one.p or 0.0 for one in tested]), strict=True))
    least = min((one.least_p for one in tested), default=0.0)
    is_enough = method == "runs" and runs >= needed_runs(len(tested), level)
    is_decidable = is_enough or least * len(tested) <= level
    rows = []
    for one in estimates:
        p = one.p if one.is_constant else adjusted.get(one)
        verdict: RowVerdict = "too few runs"
        if p is not None and (is_decidable or one.is_constant):
            verdict = _verdict(one, method, p <= level, min_effect)
        rows.append(
            Row(
                metric=one.measure.name,
                unit=one.measure.unit,
                scale=one.scale,
                a=one.a,
                b=one.b,
                effect=one.effect,
                low=one.low,
                high=one.high,
                p=one.p,
                p_adjusted=p,
                verdict=verdict,
                regression=verdict == one.measure.worse,
            )
        )
    return rows


def _verdict(estimate: Estimate, method: Method, is_shown: bool, min_effect: float) -> RowVerdict:
    if not is_shown:
        return "no difference shown"
    least = min_effect * (1.0 if estimate.scale == "ratio" else estimate.a)
    if abs(estimate.effect) < least:
        return "below the minimum effect"
    if method == "blocks":
        return "differs"
    lower, higher = estimate.measure.words
    return higher if estimate.effect > 0 else lower
