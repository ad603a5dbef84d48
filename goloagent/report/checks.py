"""Thresholds with their figures and margins, for people. Pure."""

from __future__ import annotations

from functools import lru_cache

from goloagent.core.threshold_parser import InvalidThreshold, parse
from goloagent.core.thresholds import Threshold
from goloagent.core.verdict import shown
from goloagent.report.figures import digits


def value_of(metric: str, expression: str, value: float | None) -> str:
    """Return the figure of a threshold with its unit."""
    if value is None:
        return "no data"
    threshold = parsed(metric, expression)
    return f"{value:,.4g}" if threshold is None else shown(threshold, value)


def margin_of(metric: str, expression: str, value: float | None) -> str:
    """Return how far a figure is from the limit: ``12.5 % below the limit``, or an empty text."""
    threshold = parsed(metric, expression)
    if threshold is None or value is None:
        return ""
    difference = value - threshold.limit
    if not difference:
        return "at the limit"
    side = "above" if difference > 0 else "below"
    if not threshold.limit:
        return f"{shown(threshold, abs(difference))} {side} the limit"
    times = abs(value / threshold.limit)
    if times >= 2:
        return f"{digits(times)} times the limit"
    return f"{digits(100 * abs(1 - times))} % {side} the limit"


def share_of_limit(metric: str, expression: str, value: float | None) -> float | None:
    """Return a figure as a share of the limit, 1 at the limit; None if there is no such share."""
    threshold = parsed(metric, expression)
    if threshold is None or value is None or threshold.limit <= 0 or value < 0:
        return None
    return value / threshold.limit


@lru_cache(maxsize=512)
def parsed(metric: str, expression: str) -> Threshold | None:
    """Return a threshold, or None if an agent of another version has accepted it."""
    try:
        (threshold,) = parse({metric: expression})
    except InvalidThreshold:
        return None
    return threshold
