"""The plan of a run: all that was asked for, checked before anything is touched."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import attrs

from goloagent.client.agents.connection import Credentials
from goloagent.client.program.source import ProgramSource
from goloagent.core.job_spec import JobSpec


@attrs.frozen
class DataFile:
    """A local file for the load test's directory."""

    path: Path
    name: str
    split: bool = False
    header: bool = False


@attrs.frozen
class FleetPlan:
    """The agents of a run.

    Args:
        provider: where their addresses are from; None for a private agent of this run.
        agents: how many to use; None for all.
        tolerate: how many may be lost.
        ready_seconds: for all of them to become ready.
        start_at: when the load starts, at the earliest.
    """

    provider: str | None = None
    tag: str = "agent"
    agents: int | None = None
    tolerate: int = 0
    ready_seconds: float = 120.0
    start_at: datetime | None = None
    credentials: Credentials = attrs.field(factory=Credentials)


@attrs.frozen
class ReportPlan:
    """The files and the judgement at the end of a run.

    Args:
        baseline: a run or a report file with which the run is compared.
        strict: fail if a load generator was the limit.
        delivery_seconds: for the results to be delivered after the end.
    """

    json: Path | None = None
    junit: Path | None = None
    html: Path | None = None
    baseline: str | None = None
    strict: bool = False
    delivery_seconds: float = 60.0


@attrs.frozen
class Plan:
    """A run as it was asked for.

    Args:
        members: of ``POST /queue``, without the ids of uploads and the run.
        spec: the same, parsed.
        outputs: of a private agent, each as NAME=URL.
        detach: end as soon as the job is queued.
    """

    program: ProgramSource
    members: Mapping[str, Any] = attrs.field(repr=False)  # env is secret
    spec: JobSpec
    files: tuple[DataFile, ...] = ()
    fleet: FleetPlan = attrs.field(factory=FleetPlan)
    report: ReportPlan = attrs.field(factory=ReportPlan)
    outputs: tuple[str, ...] = ()
    repeat: int = 1
    detach: bool = False

    @property
    def name(self) -> str:
        """The name of the job."""
        return self.spec.name

    @property
    def features(self) -> str:
        """The features that the agents must have, for ``Golo-Requires``."""
        named = ("load", "rate", "args", "env", "tags", "thresholds", "outputs")
        features = [name for name in named if self.members.get(name)]
        if self.files:
            features.append("files")
        if self.spec.drive != "netrpc":
            features.append(f"drive-{self.spec.drive}")
        return ", ".join(features)
