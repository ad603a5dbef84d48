"""The arguments and variables that a load test is started with. Pure."""

from __future__ import annotations

from goloagent.core import trace_context
from goloagent.jobs.job import Job
from goloagent.sandbox.program import Invocation


def invocation(job: Job) -> Invocation:
    """Return those of a job: the ones of its request, and the agent's ``GOLO_*``."""
    spec, profile = job.spec, job.spec.profile
    index, of = profile.share.index, profile.share.of
    variables = {
        "GOLO_JOB_NAME": spec.name,
        "GOLO_RUN_ID": job.id if spec.run is None else spec.run,
        "GOLO_AGENT_INDEX": str(index),
        "GOLO_AGENT_COUNT": str(of),
        "GOLO_USERS": str(spec.users // of + (index < spec.users % of)),
        "GOLO_DURATION": f"{profile.seconds:.10g}",
    }
    if spec.traceparent:
        variables[trace_context.VARIABLE] = spec.traceparent
    return Invocation(
        args=spec.given.args,
        variables=variables,
        given=spec.given.env,
        has_rpc=spec.drive != "self",
    )
