"""Jobs as the API shows them."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Annotated, Any

from msgspec import Meta, Struct, structs

from goloagent.core.load_test_input import Drive
from goloagent.core.stats.cpu_usage import RunCpu
from goloagent.core.stats.summary import ErrorSummary
from goloagent.core.verdict import Verdict
from goloagent.http.api.output_resources import OutputResource, output_resources
from goloagent.http.api.request_resources import (
    FileResource,
    LoadResource,
    RunResource,
    ShareResource,
    file_resources,
    load_resource,
)
from goloagent.jobs.job import TOP_ERRORS, Job, ResultCounts, State
from goloagent.outputs.status import JobDelivery

_STATE_MESSAGES = {
    State.STARTING: "The agent waits for the load test to serve net/rpc on GOLO_RPC_ADDR; one that"
    ' makes its own load needs "drive": "self" in its job.',
}

Count = Annotated[int, Meta(ge=0)]


class CallsResource(Struct, frozen=True):
    """RPC calls to the load test; those in flight at the end never returned.

    scheduled = started + dropped, started = ok + failed + in_flight.
    """

    scheduled: Count
    dropped: Count
    started: Count
    ok: Count
    failed: Count
    in_flight: Count


class ResultsResource(Struct, frozen=True):
    """Lines of stdout, and their delivery to the collector.

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
    """The delivery to the collector: ``ok``, ``retrying``, ``holding`` or ``none``."""

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
    users: Annotated[int, Meta(ge=0, description="0 in the open model")]
    rate: Annotated[float, Meta(ge=0, description="the highest planned; 0 in the closed model")]
    duration: Count
    drive: Drive
    tags: dict[str, str]
    run: RunResource | None
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
    outputs: Annotated[dict[str, OutputResource], Meta(description="by name")]
    verdict: Annotated[
        Verdict | None,
        Meta(description="whether it passes; provisional while it runs, null before there is one"),
    ]


class InvalidLineResource(Struct, frozen=True):
    """An invalid line of stdout: its number from 1, the reason, and its first 200 bytes."""

    number: Count
    reason: str
    text: str


class LimitedResource(Struct, frozen=True, rename={"begin": "from", "end": "to"}):
    """A time in which the load generator was the limit, in seconds from the start of the load."""

    cause: str
    begin: float
    end: float


class JobResource(JobSummary, frozen=True):
    """A job with all details; `users`, `rate` and `load` are those of the whole fleet."""

    load: LoadResource
    share: ShareResource | None
    args: list[str]
    env: Annotated[list[str], Meta(description="the names of the variables; values are secret")]
    files: list[FileResource]
    thresholds: Annotated[dict[str, Any], Meta(description="as they were requested")]
    traceparent: Annotated[
        str | None, Meta(description="the trace context of the request that queued it")
    ]
    stderr_tail: Annotated[
        str, Meta(description="the last 20 lines of stderr, up to 8 KiB, once the job is over")
    ]
    invalid_line: Annotated[
        InvalidLineResource | None, Meta(description="the first invalid line of stdout")
    ]
    warnings: Annotated[list[str], Meta(description="probable defects, once the job is over")]
    limited: Annotated[
        list[LimitedResource],
        Meta(description="times whose figures may be those of the load generator"),
    ]
    cpu: Annotated[
        RunCpu | None,
        Meta(description="usage during the load up to now; null if it was not measured"),
    ]
    errors: Annotated[
        list[ErrorSummary],
        Meta(description=f"the {TOP_ERRORS} most frequent errors of results and calls"),
    ]


class JobList(Struct, frozen=True):
    """Jobs, the newest first; ``next`` is the path of the following page, null on the last.

    ``total`` is the number of all jobs that match the filters.
    """

    jobs: list[JobSummary]
    next: str | None
    total: int


def job_resource(job: Job, delivery: JobDelivery) -> JobResource:
    """Return the resource of a job and its delivery."""
    line, spec = job.invalid_line, job.spec
    share = spec.profile.share
    return JobResource(
        **structs.asdict(job_summary(job, delivery)),
        load=load_resource(spec.profile),
        share=ShareResource(share.index, share.of) if "share" in spec.members else None,
        args=list(spec.given.args),
        env=list(spec.given.env),
        files=file_resources(spec.given),
        thresholds=spec.members.get("thresholds", {}),
        traceparent=spec.traceparent or None,
        stderr_tail=job.stderr_tail,
        invalid_line=InvalidLineResource(line.number, line.reason, line.text) if line else None,
        warnings=list(job.warnings),
        limited=limited_resources(job),
        cpu=job.cpu,
        errors=list(job.errors),
    )


def limited_resources(job: Job) -> list[LimitedResource]:
    """Return when the load generator was the limit."""
    return [LimitedResource(span.cause, span.begin, span.end) for span in job.limited]


def results_resource(results: ResultCounts) -> ResultsResource:
    """Return the counts of a job's results."""
    return ResultsResource(*(getattr(results, name) for name in ResultsResource.__struct_fields__))


def job_summary(job: Job, delivery: JobDelivery) -> JobSummary:
    """Return a job as lists show it."""
    spec, profile, collector = job.spec, job.spec.profile, delivery.collector
    return JobSummary(
        id=job.id,
        name=spec.name,
        binary=spec.binary,
        users=spec.users,
        rate=profile.ramp.peak() if profile.model == "open" else 0.0,
        duration=spec.duration_seconds,
        drive=spec.drive,
        tags=dict(spec.tags),
        run=RunResource(spec.run) if spec.run is not None else None,
        state=job.state,
        reason=job.cause.reason if job.cause else None,
        message=job.cause.message if job.cause else _state_message(job),
        queued_at=_utc(job.queued_at),
        started_at=job.started_at and _utc(job.started_at),
        ended_at=job.ended_at and _utc(job.ended_at),
        exit=ExitResource(job.exit.code, job.exit.signal) if job.exit else None,
        calls=CallsResource(
            *(getattr(job.calls, name) for name in CallsResource.__struct_fields__)
        ),
        results=results_resource(job.results),
        delivery=DeliveryResource(
            collector.state, collector.last_error, collector.retry_at and _utc(collector.retry_at)
        ),
        outputs=output_resources(job, delivery.outputs),
        verdict=job.verdict,
    )


def _state_message(job: Job) -> str | None:
    return None if job.spec.drive == "self" else _STATE_MESSAGES.get(job.state)


def _utc(time: datetime) -> datetime:
    return time.astimezone(timezone.utc)
