"""Sentences about jobs for the agent's log. Pure."""

from __future__ import annotations

from goloagent.core.job_spec import JobSpec
from goloagent.jobs.job import FailureReason, Job, State
from goloagent.runs.outcome import AGENT_STOPPED


def starts(job: Job) -> str:
    """Describe a job that starts."""
    spec = job.spec
    load = f"{_load(spec)} for {spec.duration_seconds} s"
    return f'job {job.id} starts: "{spec.name}", {load}, binary {spec.binary}'


def _load(spec: JobSpec) -> str:
    if spec.drive == "self":
        return "a load of its own"
    profile, is_steady = spec.profile, len(spec.profile.ramp.stages) == 1
    most = "" if is_steady else "up to "
    if profile.model == "closed":
        return f"{most}{spec.users} users"
    return f"{most}{profile.ramp.peak():g} iterations a second"


def ended(job: Job, cause: FailureReason | None = None) -> str:
    """Describe how a job ended, or why (`cause`) it is queued again."""
    if job.state is State.QUEUED:
        # The message of this cause is for jobs that ran.
        is_stop = cause is not None and cause.reason == AGENT_STOPPED.reason
        return f"job {job.id} is queued again{' (the agent stops)' if is_stop else _why(cause)}"
    after = ""
    if job.started_at is not None and job.ended_at is not None:
        after = f" after {(job.ended_at - job.started_at).total_seconds():.1f} s"
    return f"job {job.id} is {job.state.value}{after}{_why(job.cause)}: {_counts(job)}"


def recovered(job: Job) -> str:
    """Describe a job that a previous process of the agent left."""
    others = "".join(
        f", {job.account(name).pending:,} for {name}"
        for name in filter(job.has_pending, job.outputs)
    )
    return (
        f"recovered job {job.id}, which is {job.state.value}{_why(job.cause)}: {_counts(job)}, "
        f"of which {job.results.pending:,} are pending{others}"
    )


def _why(cause: FailureReason | None) -> str:
    return "" if cause is None else f" ({cause.reason}: {cause.message.rstrip('.')})"


def _counts(job: Job) -> str:
    calls, results = job.calls, job.results
    invalid = f", {results.invalid:,} invalid lines" if results.invalid else ""
    return (
        f"{calls.started:,} calls, {calls.failed:,} of them failed{invalid}, "
        f"{results.valid:,} results"
    )
