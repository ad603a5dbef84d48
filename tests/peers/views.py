"""Plans, progress and streams for the tests of views."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from goloagent.client.config.plan import Plan, ReportPlan
from goloagent.client.program.source import ProgramSource
from goloagent.core.job_spec import JobSpec


def plan(members: Mapping[str, Any] | None = None, **report: Any) -> Plan:
    """Return a plan of 200 iterations a second for 90 seconds, or of other members."""
    members = {"rate": 200} if members is None else members
    spec = JobSpec(
        "checkout", 0 if {"rate", "load"} & {*members} else 25, 90, "", {**members, "duration": 90}
    )
    program = ProgramSource("file", Path("checkout"))
    return Plan(program=program, members=members, spec=spec, report=ReportPlan(**report))


def state(state: str = "running", **members: Any) -> dict[str, Any]:
    """Return the members of a job resource that views read."""
    load = {"model": "open"}
    return {
        "state": state,
        "duration": 90,
        "load": load,
        "drive": "netrpc",
        "verdict": None,
    } | members


def progress(at: int, **members: Any) -> dict[str, Any]:
    """Return the progress of a second, as an agent sends it."""
    latency = {"p50": 0.0031, "p95": 0.0079, "p99": 0.0123, "max": 0.0301}
    counts = {"dropped": 0, "returned": 200 * at, "failed": 0, "results": 200 * at, "errors": 0}
    rates = {"started_per_second": 199.0, "calls_per_second": 198.0, "dropped_per_second": 0.0}
    times = {"latency": latency, "latency_total": latency, "iteration": latency}
    return (
        {"at": float(at), "planned": 200.0, "in_flight": 12, "limited": []}
        | {"results_per_second": 198.0}
        | rates
        | counts
        | times
        | members
    )


def checks(*passed: tuple[str, str, bool, float | None]) -> dict[str, Any]:
    """Return a verdict with checks of metric, threshold, whether it holds, and value."""
    names = ("metric", "threshold", "passed", "value")
    found = [dict(zip(names, one, strict=True)) for one in passed]
    return {"passed": all(one["passed"] for one in found), "checks": found}


class Stream(io.TextIOWrapper):
    """A text stream in memory, with an encoding."""

    def __init__(self, encoding: str = "utf-8") -> None:
        self.bytes = io.BytesIO()
        super().__init__(self.bytes, encoding=encoding, write_through=True)

    @property
    def text(self) -> str:
        """The written text."""
        return self.bytes.getvalue().decode(self.encoding)
