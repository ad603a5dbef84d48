"""The endpoints of jobs: list, show, cancel, abandon results."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import attrs
import msgspec
from msgspec import Meta, Struct

from goloagent.core.output_schemes import COLLECTOR
from goloagent.host.readiness import STARTING, Health
from goloagent.http.api.committer import Committer
from goloagent.http.api.endpoint import Response, endpoint
from goloagent.http.api.resources import (
    JobList,
    JobResource,
    ResultsResource,
    job_resource,
    job_summary,
    results_resource,
)
from goloagent.http.problem import Problem, not_found, quoted
from goloagent.http.server.query import paginate
from goloagent.http.server.request import Request
from goloagent.jobs.database import Store
from goloagent.jobs.job import Job, State
from goloagent.jobs.job_table import JobFilter
from goloagent.outputs.status import JobDelivery

MAX_OFFSET = 10_000_000
RETRY_AFTER_SECONDS = 30


class JobQuery(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """The filters and the page of a list."""

    state: State | None = None
    name: str | None = None
    name_prefix: Annotated[str | None, Meta(description="list names that start with it")] = None
    run: Annotated[str | None, Meta(description="id of the run they belong to")] = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    before: Annotated[str | None, Meta(description="id of a job: list only older ones")] = None
    offset: Annotated[int, Meta(ge=0, le=MAX_OFFSET, description="how many to skip")] = 0


class ResultsQuery(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """The output whose results are abandoned."""

    output: Annotated[
        str | None, Meta(description="the name of an output of the job; all if it is missing")
    ] = None


@attrs.frozen
class JobRoutes:
    """``/jobs`` in `store`.

    Args:
        cancel: cancels a queued job at once, or begins to stop a running one; returns False if
            that is not saved yet.
        delivery: returns the delivery status of a job's results.
        abandon: abandons the pending results of a job that is over, for one of its outputs or all,
            and returns their number.
    """

    store: Store
    committer: Committer
    cancel: Callable[[Job], bool]
    delivery: Callable[[Job], JobDelivery]
    abandon: Callable[[Job, str | None], int]
    health: Callable[[], Health]

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
        matching = JobFilter(query.state, query.name, query.name_prefix, query.run)
        jobs = self.store.newest(query.limit + 1, matching, query.before, query.offset)
        page, following = paginate("/jobs", msgspec.structs.replace(query, offset=0), jobs)
        summaries = [job_summary(job, self.delivery(job)) for job in page]
        total = self.store.count_matching(matching)
        return request.json_response(200, JobList(summaries, following, total))

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
        {200: Response("It has none; the counts are of the output.", ResultsResource)},
        query=ResultsQuery,
        errors={
            400: "The job has no such output.",
            404: "There is no such job.",
            409: "The job is not over yet.",
            503: "The agent is starting or cannot use its disk; retry after Retry-After.",
            507: "The disk is full.",
        },
    )
    async def delete_results(self, request: Request, job_id: str) -> bytes:
        """Abandon the pending results of a job, for one output or for all.

        They stay in out.log until retention removes it.
        """
        job, output = self._find(request, job_id), request.query(ResultsQuery).output
        if output is not None and output not in job.checkpoints:
            raise Problem(
                400,
                f"output: the job has no {quoted(output[:80].encode())}; it has "
                f"{', '.join(job.checkpoints)}",
            )
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
        chosen = job.checkpoints if output is None else (output,)
        if any(map(job.has_pending, chosen)):
            request.audit("abandon", job=job.id, output=output, results=self.abandon(job, output))
        await self.committer.commit()
        return request.json_response(200, results_resource(job.account(output or COLLECTOR)))

    def _resource(self, job: Job) -> JobResource:
        return job_resource(job, self.delivery(job))

    def _find(self, request: Request, job_id: str) -> Job:
        job = self.store.get(job_id)
        if job is None:
            raise not_found(request.path)
        return job
