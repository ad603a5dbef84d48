"""The endpoints of jobs: queue, list, show, cancel, abandon results."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated
from uuid import uuid4

import attrs
from msgspec import Meta, Struct

from goloagent.core.host_fault import DISK_FAULTS
from goloagent.host.readiness import STARTING, Health
from goloagent.http.api.committer import Committer
from goloagent.http.api.endpoint import Body, Response, endpoint
from goloagent.http.api.resources import (
    JobList,
    JobResource,
    ResultsResource,
    job_resource,
    job_summary,
    results_resource,
)
from goloagent.http.problem import Problem, disk_fault, not_found, quoted
from goloagent.http.server.query import paginate
from goloagent.http.server.request import Request
from goloagent.jobs.database import Store
from goloagent.jobs.job import Job, State
from goloagent.jobs.repository import JobRepository
from goloagent.jobs.spec import InvalidSpec, JobRequest, parse
from goloagent.outputs.status import DeliveryStatus

QUEUE_LIMIT = 32
RETRY_AFTER_SECONDS = 30


class Queued(Struct, frozen=True, omit_defaults=True):
    """A queued job; `ignored` are the unknown members of the request."""

    queued: bool
    id: str
    ignored: tuple[str, ...] = ()


class JobQuery(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """The filters and the page of a list."""

    state: State | None = None
    name: str | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    before: Annotated[str | None, Meta(description="id of a job: list only older ones")] = None


@attrs.frozen
class JobRoutes:
    """``/queue`` and ``/jobs``: read from `store`, added to `jobs`.

    Args:
        submit: called after each new job.
        cancel: cancels a queued job at once, or begins to stop a running one; returns False if
            that is not saved yet.
        delivery: returns the delivery status of a job's results.
        abandon: abandons the pending results of a job that is over, and returns their number.
    """

    store: Store
    jobs: JobRepository
    committer: Committer
    submit: Callable[[], None]
    cancel: Callable[[Job], bool]
    delivery: Callable[[Job], DeliveryStatus]
    abandon: Callable[[Job], int]
    now: Callable[[], datetime]
    health: Callable[[], Health]

    @endpoint(
        "POST",
        "/queue",
        {201: Response("The job is queued.", Queued, headers={"Location": "The path of the job."})},
        body=Body(JobRequest, schema={"required": ["binary"]}),
        errors={
            400: "The body is not such an object, or there is no such binary.",
            413: "The body is longer than 64 KiB.",
            415: "The body is a form or text.",
            503: "The queue is full, or the agent cannot use its disk; retry after Retry-After.",
            507: "The disk is full.",
        },
    )
    async def post_queue(self, request: Request) -> bytes:
        """Queue a job, durable with the response 201."""
        _refuse_forms(request)
        try:
            spec, ignored = parse(request.buffered.getvalue())
        except InvalidSpec as error:
            raise Problem(400, str(error)) from None
        await self.committer.writable()
        if self.store.binary(spec.binary) is None:
            raise Problem(400, f"{spec.binary} is an invalid binary")
        if len(self.store.queued()) >= QUEUE_LIMIT:
            raise Problem(
                503,
                f"the queue is full: {QUEUE_LIMIT} jobs are waiting",
                {"Retry-After": str(RETRY_AFTER_SECONDS)},
            )
        health = self.health()
        if health.status in DISK_FAULTS:
            raise disk_fault(health.status)
        job = Job(id=str(uuid4()), spec=spec, queued_at=self.now())
        self.jobs.add(job)
        # Before waiting, because a disconnect cancels the request.
        request.audit(
            "queue",
            job=job.id,
            name=spec.name,
            binary=spec.binary,
            users=spec.users,
            duration=spec.duration_seconds,
        )
        try:
            await self.committer.commit()
        except OSError:
            # The client gets an error, and may queue the job again.
            self.cancel(job)
            raise
        finally:
            self.submit()
        request.responseHeaders.setRawHeaders("Location", [f"/jobs/{job.id}"])
        return request.json_response(201, Queued(queued=True, id=job.id, ignored=ignored))

    @endpoint(
        "GET",
        "/jobs",
        {200: Response("Jobs of all states.", JobList)},
        query=JobQuery,
        errors={400: "A query parameter is unknown or out of its bounds."},
    )
    def get_jobs(self, request: Request) -> bytes:
        """List jobs, the newest first."""
        query = request.query(JobQuery)
        if query.before is not None and self.store.get(query.before) is None:
            raise Problem(400, f"before: there is no job {quoted(query.before.encode())}")
        jobs = self.store.newest(query.limit + 1, query.state, query.name, query.before)
        page, following = paginate("/jobs", query, jobs)
        return request.json_response(
            200, JobList([job_summary(job, self.delivery(job)) for job in page], following)
        )

    @endpoint(
        "GET",
        "/jobs/<job_id>",
        {200: Response("The job.", JobResource)},
        errors={404: "There is no such job."},
    )
    def get_job(self, request: Request, job_id: str) -> bytes:
        """Show a job."""
        return request.json_response(200, self._resource(self._find(request, job_id)))

    @endpoint(
        "DELETE",
        "/jobs/<job_id>",
        {
            200: Response("The job is over: it was queued, or already over.", JobResource),
            202: Response(
                "The job is being stopped, or the disk has not saved it yet.", JobResource
            ),
        },
        errors={404: "There is no such job."},
    )
    async def delete_job(self, request: Request, job_id: str) -> bytes:
        """Cancel a job; its record and its results stay."""
        job = self._find(request, job_id)
        saved = True
        if not job.state.over:
            saved = self.cancel(job)
            request.audit("cancel", job=job.id)
        if saved and job.state.over:
            try:
                await self.committer.commit()
            except OSError:  # the job is cancelled, but a loss of power could undo it
                saved = False
        return request.json_response(200 if saved and job.state.over else 202, self._resource(job))

    @endpoint(
        "DELETE",
        "/jobs/<job_id>/results",
        {200: Response("The job has no pending results.", ResultsResource)},
        errors={
            404: "There is no such job.",
            409: "The job is not over yet.",
            503: "The agent is starting or cannot use its disk; retry after Retry-After.",
            507: "The disk is full.",
        },
    )
    async def delete_results(self, request: Request, job_id: str) -> bytes:
        """Abandon the pending results of a job.

        They stay in out.log until retention removes it.
        """
        job = self._find(request, job_id)
        if not job.state.over:
            raise Problem(
                409,
                f"job {job.id} is {job.state.value}; its results can be given up once it is over",
            )
        if self.health().status == STARTING:
            raise Problem(
                503,
                "the agent is starting and still counts the results of its previous process",
                {"Retry-After": str(RETRY_AFTER_SECONDS)},
            )
        await self.committer.writable()
        if job.results.pending:
            request.audit("abandon", job=job.id, results=self.abandon(job))
        await self.committer.commit()
        return request.json_response(200, results_resource(job.results))

    def _resource(self, job: Job) -> JobResource:
        return job_resource(job, self.delivery(job))

    def _find(self, request: Request, job_id: str) -> Job:
        job = self.store.get(job_id)
        if job is None:
            raise not_found(request.path)
        return job


def _refuse_forms(request: Request) -> None:
    """Refuse types that web pages can send without CORS (CSRF); golo-cli sends none for JSON."""
    media_type = (request.getHeader(b"Content-Type") or b"").partition(b";")[0].strip().lower()
    if (
        media_type.startswith((b"text/", b"multipart/"))
        or media_type == b"application/x-www-form-urlencoded"
    ):
        raise Problem(415, f"Content-Type {quoted(media_type)} is not JSON")
