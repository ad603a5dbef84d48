"""An upload is parsed, hashed and written in a thread while the reactor reads further blocks.

Reading pauses while the buffer is full.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from goloagent.artifacts.upload_space import NoSpace, Reservation
from goloagent.http.upload.form import UploadBody
from goloagent.jobs.database import Binary

# Reading pauses at this size; one more block may be received, and the thread may process as much.
MAX_BUFFERED_BYTES = 1024 * 1024
BLOCK_BYTES = 1024 * 1024
# More are joined, because a chunk of 2 bytes takes about 50 bytes of memory.
MAX_BUFFERED_BLOCKS = 4096


class UploadPipeline:
    """Writes `upload`; ends with `finish` or `discard`. Used from the reactor thread.

    Args:
        in_thread: runs a function off the reactor thread.
        pause: pauses the reading of the body, or resumes it.
        failed: called if the upload fails before `finish`; it must be discarded then.
        reserve: reserves disk space for the announced length.
    """

    def __init__(
        self,
        upload: UploadBody,
        in_thread: Callable[..., Deferred[Any]],
        pause: Callable[[bool], None],
        failed: Callable[[Failure], None],
        reserve: Callable[[Callable[[NoSpace], None]], Reservation],
    ) -> None:
        self._reservation = reserve(self._abort)
        self._is_finishing = False
        self._upload = upload
        self._in_thread = in_thread
        self._pause_source = pause
        self._failed = failed
        self._buffer: list[bytes] = []
        self._buffered_bytes = 0
        self._is_paused = self._was_paused = False
        self._is_busy = False  # whether a thread runs
        self._is_over = False
        self._all_fed: Deferred[None] | None = None
        self._failure: Failure | None = None

    def write(self, data: bytes) -> None:
        """Process bytes of the body.

        Raises:
            NoSpace: there is too little free space for them.
            OSError: the free space is unknown.
        """
        self._reservation.use(len(data))
        self._buffer.append(data)
        self._buffered_bytes += len(data)
        if len(self._buffer) >= MAX_BUFFERED_BLOCKS:
            self._buffer = [b"".join(self._buffer)]
        if not self._is_busy:
            self._feed()
        elif self._buffered_bytes >= MAX_BUFFERED_BYTES and not self._is_paused:
            self._is_paused = self._was_paused = True
            self._pause_source(True)

    def was_paused(self) -> bool:
        """Return whether reading was paused at any time since the last call."""
        was, self._was_paused = self._was_paused, self._is_paused
        return was

    async def finish(self, writable: Callable[[], Awaitable[None]]) -> Binary:
        """Flush the complete upload and make it a binary; if that fails, discard it.

        Args:
            writable: returns when the database can be written.

        Raises:
            Problem: it is malformed or cannot be stored.
            OSError: `writable` raised it.
        """
        self._is_finishing = True
        try:
            await writable()
            if self._failure is not None:
                self._failure.raiseException()
            if self._is_busy:
                self._all_fed = Deferred()
                await self._all_fed
            await self._run(self._upload.sync, self._upload.duplicate())
            return self._upload.finish()
        except BaseException:
            self.discard()
            raise
        finally:
            self._reservation.release()

    def discard(self) -> None:
        """Remove the written bytes once no thread runs; a second time does nothing."""
        if self._is_over:
            return
        self._is_over = True
        self._resume()
        if not self._is_busy:
            self._remove()

    def _feed(self) -> None:
        blocks, self._buffer, self._buffered_bytes = self._buffer, [], 0
        self._resume()
        self._run(self._upload.feed, b"".join(blocks)).addCallbacks(
            self._on_fed, self._on_feed_failed
        )

    def _on_fed(self, _: object) -> None:
        if self._buffer and not self._is_over:
            self._feed()
        elif self._all_fed is not None:
            self._all_fed.callback(None)

    def _on_feed_failed(self, failure: Failure) -> None:
        self._resume()
        if self._all_fed is not None:
            self._all_fed.errback(failure)
        elif self._is_finishing:
            self._failure = failure
        elif not self._is_over:
            self._failed(failure)

    def _run(self, function: Callable[..., object], *arguments: object) -> Deferred[Any]:
        """Run a function in a thread, which continues if the returned Deferred is cancelled."""
        self._is_busy = True
        ran: Deferred[Any] = Deferred()

        def end(result: object) -> None:
            self._is_busy = False
            if self._is_over:
                self._remove()
            ran.callback(result)

        self._in_thread(function, *arguments).addBoth(end)
        return ran

    def _abort(self, error: NoSpace) -> None:
        if not self._is_over and not self._is_finishing:
            self._failed(Failure(error))

    def _remove(self) -> None:
        # In a thread, because removing 1 GiB takes 0.25 s.
        self._in_thread(self._upload.discard).addBoth(lambda _: self._reservation.release())

    def _resume(self) -> None:
        if self._is_paused:
            self._is_paused = False
            self._pause_source(False)
