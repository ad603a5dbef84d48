"""Estimates of how each figure differs between two sides, by the runs or by their blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, expm1, log
from statistics import median

from attrs import evolve, frozen

from goloagent.report.comparison.bootstrap import Blocks, difference
from goloagent.report.comparison.hodges_lehmann import hodges_lehmann
from goloagent.report.comparison.mann_whitney import least_p, mann_whitney
from goloagent.report.comparison.measures import MEASURES, Measure
from goloagent.report.comparison.model import Scale
from goloagent.report.comparison.window_counts import Layout, coarsened
from goloagent.report.model import Report

MIN_RUNS = 4
BLOCK_SECONDS = 10.0
MIN_BLOCKS = 6
"""Of each side; fewer draws are too much alike."""

DRAWS = 2000
SEED = 1
_MAX_WINDOWS = 1200

Figures = Sequence[Mapping[str, float]]
"""Of each run of a side, by the names of measures."""


@frozen
class Estimate:
    """How one figure differs; members as in `Row`.

    Attributes:
        least_p: of values that do not overlap.
        is_constant: all values are equal, so that there is nothing to test.
    """

    measure: Measure
    scale: Scale
    a: float
    b: float
    effect: float
    low: float | None = None
    high: float | None = None
    p: float | None = None
    least_p: float = 0.0
    is_constant: bool = False


def by_runs(a: Figures, b: Figures, confidence: float) -> list[Estimate]:
    """Return the estimates of those figures that all runs have, with each run as one value."""
    return [
        _of_runs(measure, values_a, values_b, confidence)
        for measure, values_a, values_b in _known(a, b)
    ]


def by_blocks(
    a: Sequence[Report], b: Sequence[Report], figures: tuple[Figures, Figures], confidence: float
) -> list[Estimate]:
    """Return the estimates of few runs, from the blocks of their timelines.

    Without enough blocks they have no interval and no p.
    """
    estimates = [_plain(*known) for known in _known(*figures)]
    layout = Layout.of([window for run in (*a, *b) for window in run.timeline])
    sides = _blocks(a, layout), _blocks(b, layout)
    blocks = min(side.number for side in sides)
    if blocks < MIN_BLOCKS:
        return estimates
    draws_a, draws_b = (
        [layout.figures(counts) for counts in side.draws(DRAWS, seed)]
        for seed, side in enumerate(sides, SEED)
    )
    return [_of_draws(one, draws_a, draws_b, blocks, confidence) for one in estimates]


def _known(a: Figures, b: Figures) -> list[tuple[Measure, list[float], list[float]]]:
    names = set.intersection(*(set(run) for run in (*a, *b)))
    return [
        (measure, [run[measure.name] for run in a], [run[measure.name] for run in b])
        for measure in MEASURES
        if measure.name in names
    ]


def _plain(measure: Measure, a: Sequence[float], b: Sequence[float]) -> Estimate:
    """Return the medians and how they differ."""
    scale: Scale = "difference" if measure.unit == "share" or min(*a, *b) <= 0 else "ratio"
    middle_a, middle_b = median(a), median(b)
    effect = middle_b / middle_a - 1 if scale == "ratio" else middle_b - middle_a
    return Estimate(measure, scale, middle_a, middle_b, effect, is_constant=len({*a, *b}) == 1)


def _of_runs(
    measure: Measure, a: Sequence[float], b: Sequence[float], confidence: float
) -> Estimate:
    plain = _plain(measure, a, b)
    if plain.scale == "ratio":
        shift = hodges_lehmann(list(map(log, a)), list(map(log, b)), confidence)
    else:
        shift = hodges_lehmann(a, b, confidence)
    effect, low, high = (
        value if value is None or plain.scale == "difference" else expm1(value)
        for value in (shift.estimate, shift.low, shift.high)
    )
    assert effect is not None
    return Estimate(
        measure, plain.scale, plain.a, plain.b, effect, low, high,
        p=mann_whitney(a, b), least_p=least_p(a, b), is_constant=plain.is_constant,
    )  # fmt: skip


def _blocks(runs: Sequence[Report], layout: Layout) -> Blocks:
    """Return the blocks of a side; the windows of long runs are joined to bound their number."""
    timelines = [run.timeline for run in runs if run.timeline]
    if not timelines:
        return Blocks.of([], 1)
    number = sum(map(len, timelines))
    factor = ceil(number / _MAX_WINDOWS)
    seconds = factor * sum(window.seconds for run in timelines for window in run) / number
    counts = [coarsened([layout.counts(window) for window in run], factor) for run in timelines]
    return Blocks.of(counts, max(1, round(BLOCK_SECONDS / seconds)))


def _of_draws(plain: Estimate, a: Figures, b: Figures, blocks: int, confidence: float) -> Estimate:
    name, is_ratio = plain.measure.name, plain.scale == "ratio"
    pairs = [
        (first[name], second[name])
        for first, second in zip(a, b, strict=True)
        if name in first and name in second
    ]
    if is_ratio:
        effects = [log(second / first) for first, second in pairs if min(first, second) > 0]
    else:
        effects = [second - first for first, second in pairs]
    if not effects:
        return plain
    found = difference(effects, blocks, confidence)
    low, high = (expm1(end) if is_ratio else end for end in (found.low, found.high))
    return evolve(plain, low=low, high=high, p=found.p)
