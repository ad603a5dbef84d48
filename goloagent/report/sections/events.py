"""The events of a run: changes of the load, and times in which a generator was the limit."""

from __future__ import annotations

from typing import Any

from goloagent.report import figures
from goloagent.report.markup import Markup, head, table, tag
from goloagent.report.model import Limited, Report

CAUSES = {
    "agent-cpu": "the agent used a whole core",
    "loadtest-cpu": "the load test used a whole core, or all of them",
    "loop-lag": "the agent was late because its host was busy",
    "schedule-lag": "calls were sent later than planned",
    "cpu-steal": "the host of this virtual machine took CPU time away",
    "descriptors": "the load test ran out of file descriptors",
    "ports": "the load test ran out of ports",
    "stdout-blocked": "the load test waited for its results to be read",
    "memory-pressure": "the host ran out of memory",
}
_MAX_EVENTS = 200


def events(report: Report) -> Markup | None:
    """Return all events in the order of time, or None."""
    rows = sorted(
        [*map(_change, report.changes), *(_limit(report, one) for one in report.limited)],
        key=lambda row: row[0],
    )
    if not rows:
        return None
    shown = table(
        [head("time"), head("event"), head("meaning")],
        [_row(*row[1:]) for row in rows[:_MAX_EVENTS]],
        "Changes and limits",
    )
    if len(rows) <= _MAX_EVENTS:
        return shown
    more = f"{len(rows) - _MAX_EVENTS:,} more are in the data of this report."
    return Markup(shown + tag("p", more, class_="small muted"))


def change_text(change: dict[str, Any]) -> str:
    """Return what was changed: ``rate 800``, ``paused``."""
    known = {name: value for name, value in change.items() if name != "at" and value is not None}
    paused = known.pop("paused", None)
    parts = [
        f"{name} {value:,g}" for name, value in known.items() if isinstance(value, int | float)
    ]
    if paused is not None:
        parts.append("paused" if paused else "resumed")
    return ", ".join(parts) or "changed"


_Row = tuple[float, str, str, str, str]


def _change(change: dict[str, Any]) -> _Row:
    at = float(change["at"])
    return at, figures.duration(at), change_text(change), "a client changed the load", "change"


def _limit(report: Report, limited: Limited) -> _Row:
    time = f"{figures.duration(limited.begin)} to {figures.duration(limited.end)}"
    meaning = CAUSES.get(limited.cause, "the load generator was the limit")
    if len(report.agents) > 1:
        meaning = f"{meaning} on {limited.agent}"
    return limited.begin, time, limited.cause, meaning, "limit"


def _row(time: str, event: str, meaning: str, kind: str) -> Markup:
    swatch = tag("i", class_=f"swatch event-{kind}", aria_hidden="true")
    return tag(
        "tr", tag("td", time), tag("td", swatch, event), tag("td", meaning, class_="text muted")
    )
