"""A job in the agent's log: one sentence each for its start, its end and its recovery. Pure."""

from __future__ import annotations

from goloagent.jobs.job import Job


def starts(job: Job) -> str:
    """Say that a job starts."""
    spec = job.spec
    load = f"{spec.users} users for {spec.duration_seconds} s"
    return f'job {job.id} starts: "{spec.name}", {load}, binary {spec.binary}'


def ended(job: Job) -> str:
    """Say how a job ended and what it came to, or that it is queued again."""
    after = ""
    if job.started_at is not None and job.ended_at is not None:
        after = f" after {(job.ended_at - job.started_at).total_seconds():.1f} s"
    return f"job {job.id} is {job.state.value}{after}{_why(job)}: {_account(job)}"


def recovered(job: Job) -> str:
    """Say what an earlier life of the agent has left of a job."""
    return (
        f"recovered job {job.id}, which is {job.state.value}{_why(job)}: {_account(job)}, "
        f"of which {job.results.pending:,} are pending"
    )


def _why(job: Job) -> str:
    return "" if job.cause is None else f" ({job.cause.reason}: {job.cause.message.rstrip('.')})"


def _account(job: Job) -> str:
    calls, results = job.calls, job.results
    invalid = f", {results.invalid:,} invalid lines" if results.invalid else ""
    return (
        f"{calls.started:,} calls, {calls.failed:,} of them failed{invalid}, "
        f"{results.valid:,} results"
    )
