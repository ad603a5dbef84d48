"""The timeline of a job: JSON, CSV, and HdrHistogram's log of intervals."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import Enum
from functools import partial
from hashlib import sha256
from typing import Annotated

import attrs
from msgspec import Meta, Struct
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.web.http import CACHED

from goloagent.http.api.endpoint import JSON, Response, endpoint
from goloagent.http.api.representation import accepts_gzip
from goloagent.http.api.timeline_formats import (
    Metric,
    TimelineResource,
    csv_blocks,
    hlog_blocks,
    json_blocks,
)
from goloagent.http.problem import Problem, not_found
from goloagent.http.server.query import NoQuery
from goloagent.http.server.request import Request
from goloagent.http.streaming.generated import GeneratedStream
from goloagent.jobs.database import Store
from goloagent.jobs.job import Job
from goloagent.wal.timeline_reader import TimelineReader

_CSV = "text/csv; charset=utf-8; header=present"
_TEXT = "text/plain; charset=utf-8"
_ETAG = {"ETag": "Changes with every second that is added."}
_NOT_MODIFIED = Response("Nothing was added since the ETag in If-None-Match.", media_type="")
_ERRORS = {
    400: "A query parameter is unknown or out of its bounds.",
    404: "There is no such job, or it has no timeline.",
}


class Histograms(str, Enum):
    """The encoding of histograms: base64 of HdrHistogram's compressed V2 format."""

    HDR = "hdr"


class TimelineQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """The parts to show."""

    histograms: Annotated[
        Histograms | None, Meta(description="add the histogram that the percentiles are of")
    ] = None


class HlogQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Which times to show."""

    metric: Metric = Metric.DURATION


@attrs.frozen
class TimelineRoutes:
    """The timelines of jobs, which `open_timeline` opens."""

    store: Store
    open_timeline: Callable[[Job], TimelineReader]
    clock: IReactorTime

    @endpoint(
        "GET",
        "/jobs/<job_id>/timeline",
        {
            200: Response("The run up to now or to its end.", TimelineResource, headers=_ETAG),
            304: _NOT_MODIFIED,
        },
        query=TimelineQuery,
        errors=_ERRORS,
    )
    def get_timeline(self, request: Request, job_id: str) -> Deferred[None] | bytes:
        """Show what a job planned, did and measured, second by second."""
        histograms = request.query(TimelineQuery).histograms is not None
        return self._send(
            request, job_id, JSON, lambda job, reader: json_blocks(job, reader, histograms)
        )

    @endpoint(
        "GET",
        "/jobs/<job_id>/timeline.csv",
        {
            200: Response("A row for each window; times in ms.", None, _CSV, headers=_ETAG),
            304: _NOT_MODIFIED,
        },
        query=NoQuery,
        errors=_ERRORS,
    )
    def get_timeline_csv(self, request: Request, job_id: str) -> Deferred[None] | bytes:
        """Send the timeline of a job as a CSV table."""
        request.query(NoQuery)
        return self._send(request, job_id, _CSV, csv_blocks)

    @endpoint(
        "GET",
        "/jobs/<job_id>/stats.hlog",
        {
            200: Response(
                "HdrHistogram's log of intervals, in nanoseconds.", None, _TEXT, headers=_ETAG
            ),
            304: _NOT_MODIFIED,
        },
        query=HlogQuery,
        errors=_ERRORS,
    )
    def get_stats_hlog(self, request: Request, job_id: str) -> Deferred[None] | bytes:
        """Send the histograms of each second of a job, for tools that read HdrHistogram's log."""
        metric = request.query(HlogQuery).metric
        return self._send(request, job_id, _TEXT, partial(hlog_blocks, metric=metric))

    def _send(
        self,
        request: Request,
        job_id: str,
        media_type: str,
        encode: Callable[[Job, TimelineReader], Iterator[bytes]],
    ) -> Deferred[None] | bytes:
        job = self.store.get(job_id)
        if job is None:
            raise not_found(request.path)
        reader = self._open(job)
        gzip = accepts_gzip(request.header_values("Accept-Encoding"))
        request.setHeader("Cache-Control", "no-cache")
        request.setHeader("Vary", "Accept-Encoding")
        tag = sha256(repr((reader.version, job.state, job.limited, job.results.valid)).encode())
        if request.setETag(f'W/"{tag.hexdigest()[:32]}"'.encode()) is CACHED:
            reader.close()
            return b""
        request.setHeader("Content-Type", media_type)
        if gzip:
            request.setHeader("Content-Encoding", "gzip")
        if request.method == b"HEAD":
            reader.close()
            return b""
        try:
            request.require_capacity()
        except Problem:
            reader.close()
            raise
        blocks = encode(job, reader)
        return GeneratedStream(request, self.clock, blocks, reader.close, gzip).start()

    def _open(self, job: Job) -> TimelineReader:
        """Open a timeline.

        Raises:
            Problem: there is none.
        """
        try:
            return self.open_timeline(job)
        except FileNotFoundError:
            why = (
                "its load never began, an older agent ran it, or it could not be kept"
                if job.state.over
                else "its load has not begun yet"
            )
            raise Problem(404, f"job {job.id} has no timeline: {why}") from None
