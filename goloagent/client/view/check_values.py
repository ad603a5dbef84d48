"""The present figures of thresholds. Pure.

An agent reports the checks when one begins to fail or to hold, so that its figure is soon old.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from goloagent.client.view.status import RunStatus
from goloagent.report.checks import parsed

_LATENCIES = {50.0: "p50", 95.0: "p95", 99.0: "p99"}
_COUNTS = {"errors": "errors", "results": "results", "dropped": "dropped", "iterations": "returned"}


def value_now(status: RunStatus, metric: str, expression: str) -> float | None:
    """Return a figure of the whole run; None if the progress of the agents does not have it."""
    threshold = parsed(metric, expression)
    if threshold is None or threshold.selector.patterns or not status.reporting:
        return None
    if any(_is_windowed(agent.job, metric, expression) for agent in status.reporting):
        return None
    aggregation = threshold.aggregation
    if threshold.metric == "duration":
        name = {"med": "p50", "max": "max", "p": _LATENCIES.get(threshold.percentile, "")}
        # The percentile of several agents together is not known here.
        if len(status.reporting) > 1 and aggregation != "max":
            return None
        return status.latency("latency_total").get(name.get(aggregation, ""))
    if threshold.metric == "errors" and aggregation == "rate":
        results = status.total("results")
        return status.total("errors") / results if results else None
    if threshold.metric in _COUNTS and aggregation == "count":
        return status.total(_COUNTS[threshold.metric])
    return None


def _is_windowed(job: Mapping[str, Any], metric: str, expression: str) -> bool:
    """Return whether a threshold is of the last seconds only."""
    asked = (job.get("thresholds") or {}).get(metric, ())
    return any(
        isinstance(one, Mapping) and one.get("threshold") == expression and one.get("over")
        for one in (asked if isinstance(asked, list) else [asked])
    )
