"""Jobs as the API shows them."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Annotated

from msgspec import Meta, Struct, structs

from goloagent.jobs.job import Job, ResultCounts, State
from goloagent.outputs.status import DeliveryStatus

_STATE_MESSAGES = {
    State.STARTING: "The agent waits for the load test to serve net/rpc on GOLO_RPC_ADDR.",
}

Count = Annotated[int, Meta(ge=0)]


class CallsResource(Struct, frozen=True):
    """RPC calls to the load test; those in flight at the end never returned."""

    started: Count
    ok: Count
    failed: Count
    in_flight: Count


class ResultsResource(Struct, frozen=True):
    """Lines of stdout.

    read = valid + invalid, valid = delivered + rejected + pending + abandoned.
    """

    read: Count
    valid: Count
    invalid: Count
    delivered: Count
    rejected: Count
    pending: Count
    abandoned: Count


class DeliveryResource(Struct, frozen=True):
    """The delivery of this job's results: ``ok``, ``retrying``, ``holding`` or ``none``."""

    state: str
    last_error: str | None
    retry_at: datetime | None


class ExitResource(Struct, frozen=True, omit_defaults=True):
    """The end of the load test's process: an exit code or the name of a signal."""

    code: int | None = None
    signal: str | None = None


class JobSummary(Struct, frozen=True):
    """A job in a list: times in RFC 3339 UTC, durations in seconds."""

    id: str
    name: str
    binary: str
    users: Count
    duration: Count
    state: State
    reason: Annotated[str | None, Meta(description="for programs; null unless something is wrong")]
    message: Annotated[str | None, Meta(description="the reason, or what it waits for")]
    queued_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    exit: ExitResource | None
    calls: CallsResource
    results: ResultsResource
    delivery: DeliveryResource


class InvalidLineResource(Struct, frozen=True):
    """An invalid line of stdout: its number from 1, the reason, and its first 200 bytes."""

    number: Count
    reason: str
    text: str


class JobResource(JobSummary, frozen=True):
    """A job with all details."""

    stderr_tail: Annotated[
        str, Meta(description="the last 20 lines of stderr, up to 8 KiB, once the job is over")
    ]
    invalid_line: Annotated[
        InvalidLineResource | None, Meta(description="the first invalid line of stdout")
    ]
    warnings: Annotated[list[str], Meta(description="probable defects, once the job is over")]


class JobList(Struct, frozen=True):
    """Jobs, the newest first; ``next`` is the path of the following page, null on the last."""

    jobs: list[JobSummary]
    next: str | None


def job_resource(job: Job, delivery: DeliveryStatus) -> JobResource:
    """Return the resource of a job and its delivery."""
    line = job.invalid_line
    return JobResource(
        **structs.asdict(job_summary(job, delivery)),
        stderr_tail=job.stderr_tail,
        invalid_line=InvalidLineResource(line.number, line.reason, line.text) if line else None,
        warnings=list(job.warnings),
    )


def results_resource(results: ResultCounts) -> ResultsResource:
    """Return the counts of a job's results."""
    return ResultsResource(*(getattr(results, name) for name in ResultsResource.__struct_fields__))


def job_summary(job: Job, delivery: DeliveryStatus) -> JobSummary:
    """Return a job as lists show it."""
    return JobSummary(
        id=job.id,
        name=job.spec.name,
        binary=job.spec.binary,
        users=job.spec.users,
        duration=job.spec.duration_seconds,
        state=job.state,
        reason=job.cause.reason if job.cause else None,
        message=job.cause.message if job.cause else _STATE_MESSAGES.get(job.state),
        queued_at=_utc(job.queued_at),
        started_at=job.started_at and _utc(job.started_at),
        ended_at=job.ended_at and _utc(job.ended_at),
        exit=ExitResource(job.exit.code, job.exit.signal) if job.exit else None,
        calls=CallsResource(job.calls.started, job.calls.ok, job.calls.failed, job.calls.in_flight),
        results=results_resource(job.results),
        delivery=DeliveryResource(
            delivery.state, delivery.last_error, delivery.retry_at and _utc(delivery.retry_at)
        ),
    )


def _utc(time: datetime) -> datetime:
    return time.astimezone(timezone.utc)
