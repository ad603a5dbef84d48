"""The figures of a run that are compared."""

from __future__ import annotations

from typing import Literal

from attrs import frozen

from goloagent.report.model import Report

TIMES = ("duration", "iteration")
PERCENTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


@frozen
class Measure:
    """One figure; `unit` as in a row."""

    name: str
    unit: str
    better: Literal["higher", "lower"] = "lower"

    @property
    def words(self) -> tuple[Literal["lower", "faster"], Literal["higher", "slower"]]:
        """Return the words for a lower and for a higher value."""
        return ("faster", "slower") if self.unit == "s" else ("lower", "higher")

    @property
    def worse(self) -> str:
        """Return the word for a change for the worse."""
        return self.words[self.better == "lower"]


RATE = Measure("rate", "1/s", "higher")
ERRORS = Measure("errors", "share")
FAILED = Measure("failed calls", "share")
MEASURES = (
    RATE, ERRORS, FAILED,
    *(Measure(f"{times} {percentile}", "s") for times in TIMES for percentile in PERCENTILES),
)  # fmt: skip


def figures_of(report: Report) -> dict[str, float]:
    """Return those figures that a run has, by their names."""
    figures: dict[str, float | None] = {
        RATE.name: report.rate,
        ERRORS.name: share(report.results.errors, report.results.valid),
        FAILED.name: share(report.calls.failed, report.calls.started),
    }
    for times in TIMES:
        latency = getattr(report.latency, times)
        for percentile in PERCENTILES:
            figure = None if latency is None else getattr(latency, percentile)
            figures[f"{times} {percentile}"] = figure
    return {name: figure for name, figure in figures.items() if figure is not None}


def share(part: int, whole: int) -> float | None:
    """Return a share, or None of nothing."""
    return part / whole if whole else None
