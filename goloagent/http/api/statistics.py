"""The statistics of a job's results and calls, and their distributions."""

from __future__ import annotations

from collections import OrderedDict
from enum import Enum

import attrs
from msgspec import Struct
from twisted.internet.interfaces import IReactorTime

from goloagent.concurrency.single_flight import SingleFlight
from goloagent.core.stats.hdr import hgrm
from goloagent.core.stats.histogram import Histogram
from goloagent.core.stats.summary import Latency, Summary
from goloagent.http.api.endpoint import JSON, Response, endpoint
from goloagent.http.api.job_summaries import JobSummaries
from goloagent.http.api.representation import Representation, serve
from goloagent.http.api.statistics_view import Statistics, StatisticsQuery, view
from goloagent.http.problem import Problem, not_found
from goloagent.http.server.request import Request
from goloagent.http.server.response import json_body
from goloagent.jobs.database import Store
from goloagent.jobs.job import Job

# A running job's statistics are summarized at most once a second.
CACHE_SECONDS = 1.0
# A view of a thousand rows with long names takes about 10 MiB, with histograms 20 MiB more.
_MAX_VIEWS = 2
_TEXT = "text/plain; charset=utf-8"
_HEADERS = {"ETag": "Changes with the figures."}
_NOT_MODIFIED = Response("The figures are those of the ETag in If-None-Match.", media_type="")
_ERRORS = {
    400: "A query parameter is unknown or out of its bounds.",
    404: "There is no such job, or its log was removed.",
}


class Metric(str, Enum):
    """The times: the results' own durations, or those of the calls to the load test."""

    DURATION = "duration"
    ITERATION = "iteration"
    SERVICE = "service"
    SCHEDULE_LAG = "schedule_lag"


class DistributionQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Which times to show."""

    metric: Metric = Metric.DURATION


@attrs.define
class StatisticsRoutes:
    """``/jobs/<id>/stats`` and ``/jobs/<id>/stats.hgrm``."""

    store: Store
    summaries: JobSummaries
    clock: IReactorTime
    _pending: SingleFlight[Summary] = attrs.field(init=False, factory=SingleFlight)
    # Of the running job, without and with histograms.
    _cached: dict[tuple[str, bool], _Views] = attrs.field(init=False, factory=dict)

    @endpoint(
        "GET",
        "/jobs/<job_id>/stats",
        {
            200: Response(
                "Latency in seconds, by URL, and by method, URL and status.",
                Statistics,
                headers=_HEADERS,
            ),
            304: _NOT_MODIFIED,
        },
        query=StatisticsQuery,
        errors=_ERRORS,
    )
    async def get_stats(self, request: Request, job_id: str) -> bytes:
        """Show the statistics of a job's results, up to now or to its end."""
        query = request.query(StatisticsQuery)
        views = await self._views(self._job(request, job_id), query.histograms is not None)
        request.setHeader("Cache-Control", "no-cache")
        return serve(request, views.of(query))

    @endpoint(
        "GET",
        "/jobs/<job_id>/stats.hgrm",
        {
            200: Response(
                "HdrHistogram's percentile distribution, in ms.", None, _TEXT, headers=_HEADERS
            ),
            304: _NOT_MODIFIED,
        },
        query=DistributionQuery,
        errors=_ERRORS
        | {404: "There is no such job, its log was removed, or it has no such times."},
    )
    async def get_stats_hgrm(self, request: Request, job_id: str) -> bytes:
        """Send the percentile distribution of a job's times, for HdrHistogram's plotter."""
        metric = request.query(DistributionQuery).metric
        job = self._job(request, job_id)
        lines = hgrm(await self._distribution(job, metric))
        request.setHeader("Cache-Control", "no-cache")
        return serve(request, Representation("".join(lines).encode(), _TEXT))

    def _job(self, request: Request, job_id: str) -> Job:
        job = self.store.get(job_id)
        if job is None:
            raise not_found(request.path)
        return job

    async def _views(self, job: Job, histograms: bool) -> _Views:
        """Return the views of the job's summary, cached for a second while it runs."""
        is_over, key = job.state.over, (job.id, histograms)
        if not is_over and key in self._cached:
            return self._cached[key]
        views = _Views(
            await self._pending.do((is_over, *key), lambda: self.summaries.of(job, histograms))
        )
        if not is_over:
            self._cached[key] = views
            self.clock.callLater(CACHE_SECONDS, self._cached.pop, key, None)
        return views

    async def _distribution(self, job: Job, metric: Metric) -> Histogram:
        """Return the histogram of a job's times.

        Raises:
            Problem: it is not known.
        """
        running = None if job.state.over else self.summaries.running(job)
        if running is not None:
            if metric is Metric.DURATION:
                return running.durations()
            live: Histogram = getattr(running.calls, metric.value)
            return live
        summary = await self.summaries.of(job, True)
        is_duration = metric is Metric.DURATION
        latency: Latency | None = (
            summary.latency if is_duration else getattr(summary.calls, metric.value)
        )
        if latency is None and not is_duration and job.calls.ok:
            raise Problem(
                404, f"the {metric.value} times of job {job.id} are lost: the log has no calls"
            )
        return Histogram() if latency is None else latency.decoded()


@attrs.frozen
class _Views:
    """The bodies of one summary, by query; the last few are cached."""

    summary: Summary
    _bodies: OrderedDict[StatisticsQuery, Representation] = attrs.field(
        init=False, factory=OrderedDict
    )

    def of(self, query: StatisticsQuery) -> Representation:
        if query not in self._bodies:
            self._bodies[query] = Representation(json_body(view(self.summary, query)), JSON)
        self._bodies.move_to_end(query)
        if len(self._bodies) > _MAX_VIEWS:
            self._bodies.popitem(last=False)
        return self._bodies[query]
