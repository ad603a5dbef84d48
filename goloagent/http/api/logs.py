"""The logs of a job over HTTP: whole, in part, from any point, and followed while they grow.

Reads 64 KiB at a time, when the client has taken what came before. What a line is does not matter.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Annotated

import attrs
from msgspec import Meta, Struct
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.web.http import CACHED

from goloagent.http.api.endpoint import Response, endpoint
from goloagent.http.api.ranges import ByteRange, Unsatisfiable, wanted
from goloagent.http.problem import Problem, not_found
from goloagent.http.server.request import Request
from goloagent.http.streaming.stream import Stream
from goloagent.jobs.database import Store
from goloagent.jobs.job import Job
from goloagent.wal.run_log import ERR, OUT, LogPathError, RunLogReader

BLOCK_BYTES = 64 * 1024
# How often a follower who has read everything looks again.
POLL_SECONDS = 0.2
STALL_SECONDS = 60.0

_TEXT = "text/plain; charset=utf-8"
_REPLIES = {
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
    404: "There is no such job, or it has no log any more.",
    416: "There are no bytes in the Range.",
}


class LogQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """From where on, and until when."""

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
    """``out.log`` and ``err.log`` below ``/jobs/<id>``; `open_log` opens one of them."""

    store: Store
    open_log: Callable[[Job, str], RunLogReader]
    clock: IReactorTime

    @endpoint("GET", "/jobs/<job_id>/out.log", _REPLIES, query=LogQuery, errors=_ERRORS)
    def get_out_log(self, request: Request, job_id: str) -> Deferred[None] | bytes:
        """Send what a job's load test has written to stdout."""
        return self._send(request, job_id, OUT)

    @endpoint("GET", "/jobs/<job_id>/err.log", _REPLIES, query=LogQuery, errors=_ERRORS)
    def get_err_log(self, request: Request, job_id: str) -> Deferred[None] | bytes:
        """Send what a job's load test has written to stderr."""
        return self._send(request, job_id, ERR)

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
                part = _delimit(request, query.offset, log.size() if log else 0)
                if log is None or part.count == 0:
                    return b""
                stream = LogRange(request, self.clock, log, part)
            if request.method == b"HEAD":
                return b""
            request.require_capacity()
            stack.pop_all()
        return stream.start()

    def _open(self, job: Job, file: str) -> RunLogReader | None:
        """Open a log; None when there is none yet.

        Raises:
            Problem: there is none, and will be none.
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


def _delimit(request: Request, offset: int | None, size: int) -> ByteRange:
    """Return which of the `size` bytes to send, none if the client has them, and say so.

    Raises:
        Problem: those that are wanted are not there.
    """
    etag = f'"{size:x}"'  # what is written never changes
    request.setHeader("Accept-Ranges", "bytes")
    request.setHeader("Cache-Control", "no-cache")
    if request.setETag(etag.encode()) is CACHED:
        return ByteRange(0, 0)
    part = None
    if offset is not None:
        part = ByteRange(min(_from_start(offset, size), size), size)
    elif request.method == b"GET" and request.getHeader("If-Range") in (None, etag):
        try:
            part = wanted(request.requestHeaders.getRawHeaders("Range", []), size)
        except Unsatisfiable:
            headers = {"Content-Range": f"bytes */{size}"}
            raise Problem(416, f"the log has {size} bytes now", headers) from None
        if part is not None:
            request.setResponseCode(206)
            request.setHeader("Content-Range", f"bytes {part.start}-{part.end - 1}/{size}")
    part = part or ByteRange(0, size)
    request.setHeader("Content-Length", str(part.count))
    return part


def _from_start(offset: int, size: int) -> int:
    return offset if offset >= 0 else max(0, size + offset)


class LogRange(Stream):
    """Sends `part` of `log`, which it owns."""

    def __init__(
        self, request: Request, clock: IReactorTime, log: RunLogReader, part: ByteRange
    ) -> None:
        super().__init__(request, clock, STALL_SECONDS)
        self._reader = log
        self._offset, self._end = part.start, part.end

    def produce(self) -> None:
        """Write a block, and as many more as the client takes."""
        while not self.paused:
            data = self._reader.read(self._offset, min(BLOCK_BYTES, self._end - self._offset))
            if not data:
                self.abort("the log has become shorter")
                return
            self._offset += len(data)
            self.write(data)
            if self._offset == self._end:
                self.end()

    def release(self) -> None:
        """Close the log."""
        self._reader.close()


class LogFollower(Stream):
    """Sends the log of `job` from `offset` on until the job is over.

    Args:
        log: owned by the stream; None while there is none yet.
        open_log: opens it once there is one.
    """

    def __init__(
        self,
        request: Request,
        clock: IReactorTime,
        job: Job,
        log: RunLogReader | None,
        open_log: Callable[[], RunLogReader | None],
        offset: int,
    ) -> None:
        super().__init__(request, clock, STALL_SECONDS)
        self._job = job
        self._reader = log
        self._open = open_log
        self._offset = offset
        self._size = 0
        self._look: IDelayedCall | None = None

    def produce(self) -> None:
        """Write all that the client takes; look again in a while for what is not there yet."""
        self._look_no_more()
        while not self.paused:
            # Asked before reading: all is written before a job is over.
            complete = self._job.state.over
            data = self._read()
            if data:
                self.write(data)
            elif complete:
                self.end()
            else:
                self._look = self._clock.callLater(POLL_SECONDS, self.attempt, self.produce)
                return

    def release(self) -> None:
        """Close the log."""
        self._look_no_more()
        if self._reader is not None:
            self._reader.close()

    def _read(self) -> bytes:
        """Return what there is to send.

        Raises:
            OSError: what was written is not there any more, or cannot be read.
        """
        if self._reader is None:
            self._reader = self._open_late()
            if self._reader is None:
                return b""
        size = self._reader.size()
        if size < self._size:
            raise OSError("the log has become shorter")
        self._size = size
        self._offset = _from_start(self._offset, size)
        data = self._reader.read(self._offset, BLOCK_BYTES)
        self._offset += len(data)
        return data

    def _open_late(self) -> RunLogReader | None:
        try:
            return self._open()
        except Problem as problem:
            if self._job.has_log:
                raise OSError(problem.detail) from None
            return None  # the job is over, and there will be no log

    def _look_no_more(self) -> None:
        if self._look is not None and self._look.active():
            self._look.cancel()
        self._look = None
