"""The planned load of a report in a few words, and how long it took."""

from __future__ import annotations

from itertools import pairwise

from goloagent.report import figures
from goloagent.report.model import Report

_MAX_VALUES = 6


def planned(report: Report) -> str:
    """Return the planned load: ``25 users for 1:00``, ``0 → 60 → 20/s for 1:30``."""
    length = f"for {figures.duration(report.planned_duration)}"
    load = report.load
    if report.drive == "self":
        return f"not driven, {length}"
    is_open = load is not None and load["model"] == "open"
    values = [float(report.planned_rate or report.users)]
    if load is not None:
        ends = [stage.get("rate", stage.get("users", 0)) for stage in load["stages"]]
        values = [load["start"], *ends]
    shown = [values[0], *(after for before, after in pairwise(values) if before != after)]
    texts = [f"{value:,.4g}" for value in shown]
    if len(texts) > _MAX_VALUES:
        texts = [*texts[:3], "…", *texts[-2:]]
    unit = "/s" if is_open else " user" if shown == [1] else " users"
    return f"{' → '.join(texts)}{unit} {length}"


def is_open(report: Report) -> bool:
    """Return whether iterations start at a planned rate."""
    return report.load is not None and report.load["model"] == "open"


def run_seconds(report: Report) -> float:
    """Return for how long the load was measured."""
    if not report.timeline:
        if report.started_at is None or report.ended_at is None:
            return 0.0
        return (report.ended_at - report.started_at).total_seconds()
    last = report.timeline[-1]
    return last.at + last.seconds
