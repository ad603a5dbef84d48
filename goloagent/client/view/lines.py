"""Sentences about a run's beginning and its events, one line each. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from goloagent.client.config.plan import Plan
from goloagent.client.view.status import RunStatus
from goloagent.client.view.symbols import Symbols
from goloagent.core.job_spec import JobSpec
from goloagent.report import figures
from goloagent.report.checks import value_of
from goloagent.report.figures import printable


def first_line(plan: Plan, number: int) -> str:
    """Return what a plan runs, and the number of the run if there are several."""
    of = f", run {number} of {plan.repeat}" if plan.repeat > 1 else ""
    return f"{plan.name}: {load_of(plan.spec)}{of}"


def load_of(spec: JobSpec) -> str:
    """Return the load of a job as a phrase: ``200 iterations/s for 0:30``."""
    profile, ramp = spec.profile, spec.profile.ramp
    time = f"for {figures.duration(profile.seconds)}"
    if spec.drive == "self":
        return time
    levels = [ramp.start, *(stage.target for stage in ramp.stages)]
    least, most = min(levels), max(levels)
    unit = "iterations/s" if profile.model == "open" else "users"
    level = f"{most:,.6g}" if least == most else f"{least:,.6g} to {most:,.6g}"
    return f"{level} {unit} {time}"


def event_line(kind: str, data: Mapping[str, Any]) -> str:
    """Return an event as a sentence; an empty text if a line is not worth it."""
    if kind == "state":
        # A normal start has a message too, for people who wait at a page.
        message = data.get("message") if data.get("reason") else None
        state = str(data.get("state", ""))
        return f"{state}: {message}" if message else state
    if kind == "change":
        return f"changed at {change_line(data)}"
    if kind == "limited":
        at = figures.duration(data.get("from", 0))
        return f"the load generator is the limit from {at}: {data.get('cause')}"
    return ""


def change_line(change: Mapping[str, Any]) -> str:
    """Return a change of the load: ``0:12: rate=800``."""
    parts = []
    for name in ("users", "rate", "paused", "duration"):
        value = change.get(name)
        if isinstance(value, bool):
            parts.append(f"{name}={'yes' if value else 'no'}")
        elif value is not None:
            parts.append(f"{name}={value:g}")
    return f"{figures.duration(change.get('at', 0))}: {', '.join(parts)}"


def progress_line(status: RunStatus, symbols: Symbols) -> str:
    """Return the state of a run in one line."""
    total = status.duration
    clock = figures.duration(status.at + 1)
    parts = [clock if total is None else f"{clock} of {figures.duration(total)}"]
    actual = status.total("started_per_second" if status.is_open else status.rate_member)
    planned = status.total("planned")
    # At the end nothing is planned, and calls still return.
    rate = f" of {figures.rate(planned)}" if status.is_open and planned else ""
    parts.append(f"{figures.rate(actual)}{rate}")
    if status.is_driven:
        flight = figures.count(status.total("in_flight"))
        users = "" if status.is_open or not planned else f" of {figures.count(planned)}"
        parts.append(f"{flight}{users} in flight")
    if status.total("dropped"):
        parts.append(f"dropped {figures.count(status.total('dropped'))}")
    errors, results = status.total("errors"), status.total("results")
    parts.append(f"errors {figures.count(errors)} ({figures.share(errors, results)})")
    if status.total("failed"):
        parts.append(f"failed calls {figures.count(status.total('failed'))}")
    member = status.latency_member
    latency = status.latency("latency_total" if member == "latency" else member)
    parts += [f"{name} {figures.seconds(latency[name])}" for name in ("p50", "p95", "p99")]
    current = status.current_limits()
    if current:
        parts.append(f"limit: {', '.join(current)}")
    return printable(f"  {symbols.dot}  ".replace("  ", " ").join(parts))


class CheckChanges:
    """Finds the thresholds that begin to fail or to hold again."""

    def __init__(self) -> None:
        self._before: list[bool | None] = []

    def since_last(self, status: RunStatus, symbols: Symbols) -> list[str]:
        """Return a line for each threshold that has changed since the last call."""
        checks = status.checks()
        before = self._before if len(self._before) == len(checks) else [None] * len(checks)
        self._before = [check.passed for check in checks]
        found = []
        for check, was in zip(checks, before, strict=True):
            if check.passed is False and was is not False:
                sign, verb = symbols.failed, "fails"
            elif check.passed and was is False:
                sign, verb = symbols.passed, "holds again"
            else:
                continue
            value = value_of(check.metric, check.threshold, check.value)
            found.append(printable(f"{sign} {check.metric}: {check.threshold} {verb} ({value})"))
        return found
