"""The outputs of a job as the API shows them."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Annotated, Literal, cast

from msgspec import Meta, Struct

from goloagent.jobs.job import Job, ResultCounts
from goloagent.outputs.status import DeliveryStatus

Count = Annotated[int, Meta(ge=0)]


class OutputResource(Struct, frozen=True):
    """The delivery of a job's results to one output.

    valid = delivered + rejected + pending + abandoned, also for an output of seconds.
    """

    state: Annotated[str, Meta(description="ok, retrying or holding; none without an output")]
    required: Annotated[bool, Meta(description="the log stays until the output has all results")]
    unit: Annotated[
        Literal["result", "second"], Meta(description="what is sent: results, or the timeline")
    ]
    complete: Annotated[
        bool, Meta(description="the job is over, and the output has all that it will get")
    ]
    delivered: Count
    rejected: Count
    pending: Count
    abandoned: Count
    lag_seconds: Annotated[float, Meta(description="the age of the oldest pending result", ge=0)]
    last_error: Annotated[str | None, Meta(description="null while the state is ok")]
    retry_at: datetime | None


def output_resources(job: Job, statuses: dict[str, DeliveryStatus]) -> dict[str, OutputResource]:
    """Return the outputs of a job; one that has not started has no results for them."""
    return {name: _resource(_account(job, name), status) for name, status in statuses.items()}


def _account(job: Job, name: str) -> ResultCounts:
    return job.account(name) if name in job.checkpoints else ResultCounts()


def _resource(counts: ResultCounts, status: DeliveryStatus) -> OutputResource:
    return OutputResource(
        state=status.state,
        required=status.required,
        unit=cast(Literal["result", "second"], status.unit),
        complete=status.complete,
        delivered=counts.delivered,
        rejected=counts.rejected,
        pending=counts.pending,
        abandoned=counts.abandoned,
        lag_seconds=status.lag_seconds,
        last_error=status.last_error,
        retry_at=status.retry_at and status.retry_at.astimezone(timezone.utc),
    )
