"""The report of a job as one HTML file, made in a worker thread."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import attrs
import msgspec
from twisted.internet.defer import Deferred, DeferredLock

from goloagent import VERSION
from goloagent.concurrency.single_flight import SingleFlight
from goloagent.core.stats.summary import Summary
from goloagent.http.api.endpoint import Response, endpoint
from goloagent.http.api.job_summaries import JobSummaries
from goloagent.http.api.representation import Representation, serve
from goloagent.http.api.resources import JobResource, job_resource
from goloagent.http.api.timeline_formats import read_timeline
from goloagent.http.problem import Problem, not_found
from goloagent.http.server.query import NoQuery
from goloagent.http.server.request import Request
from goloagent.jobs.database import Store
from goloagent.jobs.job import Job
from goloagent.outputs.status import JobDelivery
from goloagent.report.builder import build
from goloagent.report.html import policy, render
from goloagent.report.model import AgentPart
from goloagent.wal.timeline_reader import TimelineReader

_HTML = "text/html; charset=utf-8"
# The sandbox gives the file an origin of its own, so that it cannot use this API.
_POLICY = "frame-ancestors 'none'; sandbox allow-scripts"
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


@attrs.frozen
class ReportRoutes:
    """``/jobs/<id>/report.html``; `in_thread` runs a function off the reactor thread."""

    store: Store
    summaries: JobSummaries
    open_timeline: Callable[[Job], TimelineReader]
    delivery: Callable[[Job], JobDelivery]
    in_thread: Callable[..., Deferred[Any]]
    _pending: SingleFlight[Representation] = attrs.field(init=False, factory=SingleFlight)
    # A report of an hour keeps a thread busy for seconds.
    _building: DeferredLock = attrs.field(init=False, factory=DeferredLock)

    @endpoint(
        "GET",
        "/jobs/<job_id>/report.html",
        {
            200: Response(
                "One HTML file, which makes no request and has all data in it.",
                media_type=_HTML,
                headers={
                    "ETag": "Changes with the figures.",
                    "Content-Disposition": "The file name to save it under.",
                    "Content-Security-Policy": "Allows the file's own style and script only.",
                },
            ),
            304: Response("The report is that of the ETag in If-None-Match.", media_type=""),
        },
        query=NoQuery,
        errors={400: "There are no query parameters.", 404: "There is no such job."},
    )
    async def get_report(self, request: Request, job_id: str) -> bytes:
        """Report a job: verdict, thresholds, latencies, errors, up to now or to its end."""
        request.query(NoQuery)
        job = self.store.get(job_id)
        if job is None:
            raise not_found(request.path)
        made = await self._pending.do(job.id, lambda: self._make(job))
        for header, value in _HEADERS.items():
            request.setHeader(header, value)
        request.setHeader("Content-Security-Policy", f"{policy()}; {_POLICY}")
        request.setHeader("Content-Disposition", _disposition(job))
        return serve(request, made)

    async def _make(self, job: Job) -> Representation:
        await self._building.acquire()
        try:
            try:
                summary = await self.summaries.of(job, True)
            except Problem:
                summary = None
            resource = job_resource(job, self.delivery(job))
            made: Representation = await self.in_thread(self._render, job, resource, summary)
            return made
        finally:
            self._building.release()

    def _render(self, job: Job, resource: JobResource, summary: Summary | None) -> Representation:
        """Return the file, compressed too, in a thread."""
        part = AgentPart(
            agent=socket.gethostname(),
            version=VERSION,
            job=msgspec.to_builtins(resource),
            stats=None if summary is None else msgspec.to_builtins(summary),
            timeline=self._timeline(job),
        )
        made = Representation(render(build([part], rest=_Rest())), _HTML)
        assert made.etag
        assert made.gzipped
        return made

    def _timeline(self, job: Job) -> dict[str, Any] | None:
        try:
            reader = self.open_timeline(job)
        except FileNotFoundError:
            return None
        try:
            return read_timeline(job, reader)
        finally:
            reader.close()


class _Rest:
    """Sleeps as long as the thread has worked, so that the reactor does not wait for it."""

    def __init__(self) -> None:
        self._begun = time.monotonic()

    def __call__(self) -> None:
        time.sleep(time.monotonic() - self._begun)
        self._begun = time.monotonic()


def _disposition(job: Job) -> str:
    """Return a header by which the file is shown, and saved under the name of the job."""
    name = f"{job.spec.name}-{job.id[:8]}.html"
    plain = re.sub(r"[^\w.-]", "_", name, flags=re.ASCII)
    return (
        f"inline; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='', errors='replace')}"
    )
