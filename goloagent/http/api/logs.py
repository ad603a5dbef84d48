"""The logs of a job: completely, a range, from an offset, or followed; its results as a table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Annotated

import attrs
from msgspec import Meta, Struct
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.web.http import CACHED
from werkzeug.http import parse_range_header

from goloagent.http.api.endpoint import Response, endpoint
from goloagent.http.api.representation import accepts_gzip
from goloagent.http.problem import Problem, not_found
from goloagent.http.server.query import NoQuery
from goloagent.http.server.request import Request
from goloagent.http.streaming.generated import GeneratedStream
from goloagent.http.streaming.log_stream import LogFollower, LogRange
from goloagent.http.streaming.stream import Stream
from goloagent.jobs.database import Store
from goloagent.jobs.job import Job
from goloagent.results.table import csv_blocks
from goloagent.wal.run_directory import ERR, OUT, LogPathError
from goloagent.wal.run_log import RunLogReader

_TEXT = "text/plain; charset=utf-8"
_CSV = "text/csv; charset=utf-8; header=present"
# A block of a table takes a fifth of a millisecond.
_PIECE_BYTES = 4 * 1024
_RESPONSES = {
    200: Response(
        "The bytes that the load test has written.",
        media_type=_TEXT,
        headers={"ETag": "Changes with every byte that is written.", "Accept-Ranges": "`bytes`"},
    ),
    206: Response(
        "The part that a Range with one range asks for; several are answered with the whole.",
        media_type=_TEXT,
        headers={"Content-Range": "Which part this is, of how many bytes."},
    ),
    304: Response("Nothing was written since the ETag in If-None-Match.", media_type=""),
}
_ERRORS = {
    400: "A query parameter is unknown or out of its bounds.",
    404: "There is no such job, or its log was removed.",
    416: "The log has no bytes in the Range.",
}


class LogQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Which bytes to send, and until when."""

    follow: Annotated[
        bool, Meta(description="send what is written from now on too, until the job is over")
    ] = False
    offset: Annotated[
        Annotated[int, Meta(ge=-(2**62), le=2**62)] | None,
        Meta(
            description="the first byte, counted from the end when negative; Range is ignored then"
        ),
    ] = None


@attrs.frozen
class LogRoutes:
    """``out.log``, ``err.log`` and ``results.csv`` below ``/jobs/<id>``; `open_log` opens a log."""

    store: Store
    open_log: Callable[[Job, str], RunLogReader]
    clock: IReactorTime

    @endpoint("GET", "/jobs/<job_id>/out.log", _RESPONSES, query=LogQuery, errors=_ERRORS)
    def get_out_log(self, request: Request, job_id: str) -> Deferred[None] | bytes:
        """Send what a job's load test has written to stdout."""
        return self._send(request, job_id, OUT)

    @endpoint("GET", "/jobs/<job_id>/err.log", _RESPONSES, query=LogQuery, errors=_ERRORS)
    def get_err_log(self, request: Request, job_id: str) -> Deferred[None] | bytes:
        """Send what a job's load test has written to stderr."""
        return self._send(request, job_id, ERR)

    @endpoint(
        "GET",
        "/jobs/<job_id>/results.csv",
        {
            200: Response(
                "A row for each result up to now or to the end; `duration` in ns.",
                media_type=_CSV,
                headers={"ETag": "Changes with every byte of out.log."},
            ),
            304: Response("Nothing was written since the ETag in If-None-Match.", media_type=""),
        },
        query=NoQuery,
        errors={
            400: "There are no query parameters.",
            404: "There is no such job, or its log was removed.",
        },
    )
    def get_results(self, request: Request, job_id: str) -> Deferred[None] | bytes:
        """Send the results of a job as a table, without the lines that are none."""
        request.query(NoQuery)
        job = self.store.get(job_id)
        if job is None:
            raise not_found(request.path)
        with ExitStack() as stack:
            log = self._open(job, OUT)
            size = 0
            if log is not None:
                stack.callback(log.close)
                size = log.size()
            request.setHeader("Cache-Control", "no-cache")
            request.setHeader("Vary", "Accept-Encoding")
            if request.setETag(f'W/"{size:x}"'.encode()) is CACHED:
                return b""
            gzip = accepts_gzip(request.header_values("Accept-Encoding"))
            request.setHeader("Content-Type", _CSV)
            if gzip:
                request.setHeader("Content-Encoding", "gzip")
            if request.method == b"HEAD":
                return b""
            request.require_capacity()
            blocks = csv_blocks(_pieces(log, size))
            close = stack.pop_all().close
        return GeneratedStream(request, self.clock, blocks, close, gzip).start()

    def _send(self, request: Request, job_id: str, file: str) -> Deferred[None] | bytes:
        query = request.query(LogQuery)
        job = self.store.get(job_id)
        if job is None:
            raise not_found(request.path)
        with ExitStack() as stack:
            log = self._open(job, file)
            if log is not None:
                stack.callback(log.close)
            request.setHeader("Content-Type", _TEXT)
            request.setHeader("X-Content-Type-Options", "nosniff")
            stream: Stream
            if query.follow:
                request.setHeader("Cache-Control", "no-store")
                request.setHeader("X-Accel-Buffering", "no")
                stream = LogFollower(
                    request, self.clock, job, log, lambda: self._open(job, file), query.offset or 0
                )
            else:
                part = _select(request, query.offset, log.size() if log else 0)
                if log is None or not part:
                    return b""
                stream = LogRange(request, self.clock, log, part)
            if request.method == b"HEAD":
                return b""
            request.require_capacity()
            stack.pop_all()
        return stream.start()

    def _open(self, job: Job, file: str) -> RunLogReader | None:
        """Open a log, or return None if the run has not created it yet.

        Raises:
            Problem: there is none, and there will be none.
        """
        if not job.has_log:
            if job.state.over and job.started_at is not None:
                raise Problem(
                    404, f"job {job.id} has no log: never started, or removed by retention"
                )
            return None
        try:
            return self.open_log(job, file)
        except FileNotFoundError:
            raise Problem(404, f"the log of job {job.id} is gone") from None
        except LogPathError as error:
            raise Problem(404, f"job {job.id} has no log: {error}") from None


def _pieces(log: RunLogReader | None, size: int) -> Iterator[bytes]:
    """Yield the first `size` bytes of a log, or less if it has become shorter."""
    offset = 0
    while log is not None and offset < size:
        piece = log.read(offset, min(_PIECE_BYTES, size - offset))
        if not piece:
            return
        offset += len(piece)
        yield piece


def _select(request: Request, offset: int | None, size: int) -> range:
    """Return the bytes to send of a log of `size` bytes, and set the headers.

    Raises:
        Problem: the log has no bytes in the Range.
    """
    etag = f'"{size:x}"'  # written bytes never change
    request.setHeader("Accept-Ranges", "bytes")
    request.setHeader("Cache-Control", "no-cache")
    if request.setETag(etag.encode()) is CACHED:
        return range(0)
    part = None
    if offset is not None:
        part = range(offset if offset >= 0 else max(0, size + offset), size)
    elif request.method == b"GET" and request.header_values("If-Range") in ([], [etag]):
        part = parse_range(request.header_values("Range"), size)
        if part is not None:
            request.setResponseCode(206)
            request.setHeader("Content-Range", f"bytes {part.start}-{part.stop - 1}/{size}")
    if part is None:
        part = range(size)
    request.setHeader("Content-Length", str(len(part)))
    return part


def parse_range(header: Sequence[str], size: int) -> range | None:
    """Return the bytes of a Range header with one range; None means all `size` bytes.

    Raises:
        Problem: there are none.
    """
    parsed = parse_range_header(header[0]) if len(header) == 1 else None
    if parsed is None or parsed.units != "bytes" or len(parsed.ranges) != 1:
        return None
    start, end = parsed.ranges[0]
    if start < 0:
        start = max(0, size + start)
    part = range(start, size if end is None else min(end, size))
    if not part:
        raise Problem(416, f"the log has {size} bytes now", {"Content-Range": f"bytes */{size}"})
    return part
