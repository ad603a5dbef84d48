"""The statistics of a job's results."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator
from enum import Enum
from typing import Annotated

import attrs
from msgspec import Meta, Struct
from twisted.internet.interfaces import IReactorTime

from goloagent.concurrency.cooperation import cooperate
from goloagent.concurrency.single_flight import SingleFlight
from goloagent.core.stats.request_stats import MAX_ROWS
from goloagent.core.stats.run_stats import RunStatistics
from goloagent.core.stats.summary import RowSummary, Summary
from goloagent.http.api.endpoint import JSON, Response, endpoint
from goloagent.http.api.representation import Representation, serve
from goloagent.http.problem import Problem, not_found
from goloagent.http.server.request import Request
from goloagent.http.server.response import json_body
from goloagent.jobs.database import Store
from goloagent.jobs.job import Job
from goloagent.wal.run_directory import LogPathError

# A running job's statistics are summarized at most once a second.
CACHE_SECONDS = 1.0
# A view of a thousand rows with long names takes about 10 MiB.
_MAX_VIEWS = 2


class Sort(str, Enum):
    """The figure by which rows are sorted."""

    METHOD = "method"
    URL = "url"
    STATUS = "status"
    RESULTS = "results"
    ERRORS = "errors"
    BYTES = "bytes"
    P50 = "p50"
    P95 = "p95"
    P99 = "p99"
    MAX = "max"


_OF_LATENCY = frozenset({Sort.P50, Sort.P95, Sort.P99, Sort.MAX})


class Order(str, Enum):
    """The order of the rows."""

    DESCENDING = "desc"
    ASCENDING = "asc"


class StatisticsQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Which rows to show."""

    rows: Annotated[int, Meta(ge=0, le=MAX_ROWS, description="how many rows at most")] = MAX_ROWS
    sort: Sort = Sort.RESULTS
    order: Order = Order.DESCENDING


class Statistics(Summary, frozen=True, kw_only=True):
    """The statistics of a run with the requested rows, of `rows_total`."""

    rows_total: int


@attrs.define
class StatisticsRoutes:
    """``/jobs/<id>/stats``.

    Args:
        running: returns the statistics of a running job.
        finished: returns those of a job that is over, or raises as `SummaryCache.get`.
    """

    store: Store
    running: Callable[[Job], RunStatistics | None]
    finished: Callable[[Job], Awaitable[Summary]]
    clock: IReactorTime
    _summaries: SingleFlight[Summary] = attrs.field(init=False, factory=SingleFlight)
    _cached: tuple[str, float, _Views] | None = attrs.field(init=False, default=None)

    @endpoint(
        "GET",
        "/jobs/<job_id>/stats",
        {
            200: Response(
                "Latency in seconds, by method, URL and status too.",
                Statistics,
                headers={"ETag": "Changes with the figures."},
            ),
            304: Response("The figures are those of the ETag in If-None-Match.", media_type=""),
        },
        query=StatisticsQuery,
        errors={
            400: "A query parameter is unknown or out of its bounds.",
            404: "There is no such job, or its log was removed.",
        },
    )
    async def get_stats(self, request: Request, job_id: str) -> bytes:
        """Show the statistics of a job's results, up to now or to its end."""
        query = request.query(StatisticsQuery)
        job = self.store.get(job_id)
        if job is None:
            raise not_found(request.path)
        views = await self._views(job)
        request.setHeader("Cache-Control", "no-cache")
        return serve(request, views.of(query))

    async def _views(self, job: Job) -> _Views:
        """Return the views of the job's summary, cached for a second while it runs."""
        is_over = job.state.over
        if not is_over and self._cached is not None:
            job_id, expires, views = self._cached
            if job_id == job.id and self.clock.seconds() < expires:
                return views
        views = _Views(await self._summaries.do((job.id, is_over), lambda: self._summary(job)))
        if not is_over:
            self._cached = job.id, self.clock.seconds() + CACHE_SECONDS, views
        return views

    async def _summary(self, job: Job) -> Summary:
        statistics = None if job.state.over else self.running(job)
        if statistics is not None:
            return await self._summarize(statistics)
        if not job.state.over or job.started_at is None:
            return RunStatistics().summary()
        if not job.has_log:
            raise Problem(404, f"job {job.id} has no log: never started, or removed by retention")
        try:
            return await self.finished(job)
        except FileNotFoundError:
            raise Problem(404, f"the log of job {job.id} is gone") from None
        except LogPathError as error:
            raise Problem(404, f"job {job.id} has no log: {error}") from None

    async def _summarize(self, statistics: RunStatistics) -> Summary:
        """Summarize the running job in turns."""
        summaries: list[Summary] = []

        def steps() -> Iterator[None]:
            for summary in statistics.iter_summary():
                if summary is not None:
                    summaries.append(summary)
                yield

        await cooperate(self.clock, steps())
        return summaries[0]


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


def view(summary: Summary, query: StatisticsQuery) -> Statistics:
    """Return a summary with the rows of a query; those without the figure come last."""

    def figure(row: RowSummary) -> int | float | str | None:
        source = row.latency if query.sort in _OF_LATENCY else row
        value: int | float | str | None = getattr(source, query.sort.value, None)
        return value

    known = [row for row in summary.rows if figure(row) is not None]
    unknown = [row for row in summary.rows if figure(row) is None]
    # The sort is stable: equal rows stay in the order of the most results.
    known.sort(key=figure, reverse=query.order is Order.DESCENDING)  # type: ignore[arg-type]
    members = {name: getattr(summary, name) for name in Summary.__struct_fields__}
    shown = (known + unknown)[: query.rows]
    return Statistics(**members | {"rows": shown}, rows_total=len(summary.rows))
