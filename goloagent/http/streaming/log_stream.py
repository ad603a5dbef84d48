"""Responses that send a log: a range of it, or all that is written until its job is over.

Each reads 64 KiB once the client has received the previous block.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from goloagent.http.problem import Problem
from goloagent.http.server.request import Request
from goloagent.http.streaming.stream import Stream
from goloagent.jobs.job import Job
from goloagent.wal.run_log import RunLogReader

BLOCK_BYTES = 64 * 1024
POLL_SECONDS = 0.2
STALL_SECONDS = 60.0


class LogRange(Stream):
    """A response with `part` of `log`, which it closes."""

    def __init__(
        self, request: Request, clock: IReactorTime, log: RunLogReader, part: range
    ) -> None:
        super().__init__(request, clock, STALL_SECONDS)
        self._reader = log
        self._offset, self._end = part.start, part.stop

    def produce(self) -> None:
        """Write blocks until the client is behind."""
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
    """A response with the log of `job` from `offset` on, until the job is over.

    Args:
        log: the stream closes it; None if the run has not created it yet.
        open_log: opens it later; returns None until the run has created it.
        offset: negative counts from the end.
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
        self._poll: IDelayedCall | None = None

    def produce(self) -> None:
        """Write blocks until the client is behind; poll for more at the end of the log."""
        self._stop_polling()
        while not self.paused:
            # Read before the log, because everything is written before a job is over.
            is_complete = self._job.state.over
            data = self._read()
            if data:
                self.write(data)
            elif is_complete:
                self.end()
            else:
                self._poll = self._clock.callLater(POLL_SECONDS, self.attempt, self.produce)
                return

    def release(self) -> None:
        """Close the log."""
        self._stop_polling()
        if self._reader is not None:
            self._reader.close()

    def _read(self) -> bytes:
        """Return the next block, empty at the end of the log.

        Raises:
            OSError: the log was removed or has become shorter, or cannot be read.
        """
        if self._reader is None:
            self._reader = self._open_late()
            if self._reader is None:
                return b""
        size = self._reader.size()
        if size < self._size:
            raise OSError("the log has become shorter")
        self._size = size
        if self._offset < 0:
            self._offset = max(0, size + self._offset)
        data = self._reader.read(self._offset, BLOCK_BYTES)
        self._offset += len(data)
        return data

    def _open_late(self) -> RunLogReader | None:
        try:
            return self._open()
        except Problem as problem:
            if self._job.has_log:
                raise OSError(problem.detail) from None
            return None  # the job is over without a log

    def _stop_polling(self) -> None:
        if self._poll is not None and self._poll.active():
            self._poll.cancel()
        self._poll = None
