"""The JSON schema of reports, with the unit of each number."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from goloagent.report.model import VERSION, Report

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_SECONDS = "seconds"
_CALLS = "number of calls"
_RESULTS = "number of results"
_EFFECT = "in the scale of the row"

UNITS = {
    **dict.fromkeys(("min", "mean", "p50", "p90", "p95", "p99", "p999", "max"), _SECONDS),
    **dict.fromkeys(("planned_duration", "skew", "seconds"), _SECONDS),
    **dict.fromkeys(("from", "to", "at"), "seconds from the start of the load"),
    **dict.fromkeys(("scheduled", "dropped", "started", "ok", "failed", "succeeded"), _CALLS),
    **dict.fromkeys(("valid", "delivered", "rejected", "pending", "abandoned"), _RESULTS),
    **dict.fromkeys(("results", "errors"), _RESULTS),
    **dict.fromkeys(("read", "invalid"), "number of lines of stdout"),
    **dict.fromkeys(("effect", "low", "high"), _EFFECT),
    **dict.fromkeys(("p", "p_adjusted"), "probability from 0 to 1"),
    "AgentReport.limited": _SECONDS,
    "CpuUsage.max": "CPU seconds a second",
    "CpuUsage.mean": "CPU seconds a second",
    "AgentReport.share": "from 0 to 1",
    "Check.value": "seconds, a share from 0 to 1 of a rate of errors, per second of other rates",
    "Comparison.confidence": "share from 0 to 1",
    "Comparison.min_effect": "share from 0 to 1",
    "CountedLatency.count": "number of values",
    "ErrorSummary.count": "number of errors",
    "Outcome.exit_code": "of golo run",
    "Report.other_errors": "number of errors that are not in `errors`",
    "Report.planned_rate": "iterations per second, the highest; 0 in the closed model",
    "Report.rate": "results a second",
    "Report.users": "number of users; 0 in the open model",
    "Report.version": f"of the format, {VERSION} at present",
    "Row.a": "in the unit of the row",
    "Row.b": "in the unit of the row",
    "WindowReport.planned": "users, or iterations per second, at the end of the interval",
    "WindowTimes.count": "number of values",
    "WindowTimes.counts": "number of values; if negative, the number of empty buckets",
    "WindowTimes.first": "number of a bucket",
    "bytes": "bytes",
    "error_share": "share from 0 to 1",
    "in_flight": "number of calls that have not returned",
    "max_in_flight": "highest number of calls in flight",
    "share": "share from 0 to 1",
    "status": "HTTP status, or 0",
}
"""The unit of each number, by its name or by its type and name."""

_ATTRIBUTE = re.compile(r"^ {8}(\w+): (.*(?:\n {10,}.*)*)", re.MULTILINE)


def schema() -> dict[str, Any]:
    """Return the JSON schema of a report, and of the list of several that ``--repeat`` gives."""
    found = msgspec.json.schema(Report | list[Report])
    for name, definition in found["$defs"].items():
        _describe(name, definition)
    return {"$schema": DIALECT, "title": "The report of golo run", **found}


def _describe(name: str, definition: dict[str, Any]) -> None:
    """Move descriptions of members from that of the type to them, and add the units."""
    text, _, attributes = definition.get("description", "").partition("\n\n    Attributes:\n")
    if text:
        definition["description"] = " ".join(text.split())
    described = {member: " ".join(rest.split()) for member, rest in _ATTRIBUTE.findall(attributes)}
    for member, property_ in definition["properties"].items():
        unit = UNITS.get(f"{name}.{member}", UNITS.get(member, ""))
        texts = [described.get(member, "").rstrip("."), unit if is_number(property_) else ""]
        # Both are of one thing if one contains the other.
        parts = [part for part in texts if part]
        if len(parts) == 2 and parts[1] in parts[0]:
            parts.pop()
        if parts:
            property_["description"] = "; ".join(parts)


def is_number(property_: dict[str, Any]) -> bool:
    """Return whether a property is a number, or a list of numbers."""
    kinds = [property_, property_.get("items", {}), *property_.get("anyOf", [])]
    return any(kind.get("type") in ("number", "integer") for kind in kinds)
