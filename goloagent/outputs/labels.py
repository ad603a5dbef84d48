"""The labels of a run, which each sink gets with its results. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import attrs

from goloagent.core import trace_context
from goloagent.jobs.job import Job


@attrs.frozen
class RunLabels:
    """The labels of one run.

    Args:
        job: the id of the job.
        name: of the job, under which a collector stores its results.
        run: the id of the run, which the jobs of a fleet share; that of the job if it has none.
        agent: the name of the agent.
        started_at: the start of the load.
        tags: of the job, by name.
        traceparent: of the request that queued the job (W3C Trace Context); "" without one.
    """

    job: str
    name: str
    run: str
    agent: str
    started_at: datetime | None = None
    tags: Mapping[str, str] = attrs.field(factory=dict)
    traceparent: str = ""

    @property
    def trace_headers(self) -> dict[str, str]:
        """The headers by which a backend adds its work to the trace of the run."""
        return {trace_context.HEADER: self.traceparent} if self.traceparent else {}


def labels_of(job: Job, agent: str) -> RunLabels:
    """Return the labels of the run of a job on an agent."""
    spec = job.spec
    return RunLabels(
        job.id,
        spec.name,
        spec.run or job.id,
        spec.agent or agent,
        job.started_at,
        spec.tags,
        spec.traceparent,
    )
