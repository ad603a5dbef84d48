"""Windows as counts."""

from __future__ import annotations

from random import Random

import pytest
from peers.reports import part
from peers.simulated_runs import simulated

from goloagent.report.builder import build
from goloagent.report.comparison.measures import figures_of
from goloagent.report.comparison.window_counts import Layout, coarsened
from goloagent.report.model import Report


@pytest.mark.parametrize("report", [build([part()]), simulated(Random(1), has_timeline=True)])
def test_figures(report: Report) -> None:
    """The sums of all windows have the figures of the run, within the width of buckets."""
    layout = Layout.of(report.timeline)
    counts = [layout.counts(window) for window in report.timeline]
    figures = layout.figures(list(map(sum, zip(*counts, strict=True))))
    assert figures["duration p50"] == pytest.approx(figures_of(report)["duration p50"], rel=0.03)
    assert figures["duration p99"] == pytest.approx(figures_of(report)["duration p99"], rel=0.05)
    assert figures["iteration p95"] == pytest.approx(figures_of(report)["iteration p95"], rel=0.05)
    assert figures["failed calls"] == report.calls.failed / report.calls.started
    [joined] = coarsened(counts, len(counts))
    assert layout.figures(joined) == figures


def test_recorded_counts() -> None:
    """The windows of a recorded run have all its results."""
    report = build([part()])
    layout = Layout.of(report.timeline)
    counts = [layout.counts(window) for window in report.timeline]
    assert sum(row[1] for row in counts) == report.results.valid
    assert sum(map(sum, (row[5 : 5 + len(layout.spans[0])] for row in counts))) == (
        report.results.valid
    )


def test_nothing() -> None:
    """Windows without results have no figures."""
    layout = Layout.of([])
    assert layout.figures([0] * 5) == {}


def test_coarsened() -> None:
    """Rows are added by twos; the rest is left out."""
    assert coarsened([[1], [2], [4], [8], [16]], 2) == [[3], [12]]
