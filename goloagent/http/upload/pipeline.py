"""One upload's way to the disk: its bytes are parsed, hashed and written in a thread, in order.

The reactor reads the next ones meanwhile, a bounded number; then it reads no more until the thread
has caught up. Does not know what the bytes are, nor the connection that they come from.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from goloagent.artifacts.upload_space import NoSpace, Reservation
from goloagent.http.upload.form import UploadBody
from goloagent.jobs.database import Binary

# When so many wait, no more are read: one block beyond it may come, and the thread may have as many
# at hand. Handing on costs as much for a small block as for a large one.
MAX_BUFFERED_BYTES = 1024 * 1024
BLOCK_BYTES = 1024 * 1024
# More become one: a chunk of two bytes takes the memory of fifty.
MAX_BUFFERED_BLOCKS = 4096


class UploadPipeline:
    """Takes `upload` in; ends with `finish` or `discard`. Used from the reactor thread.

    Args:
        in_thread: runs a function off the reactor thread.
        source: where the bytes come from; paused while enough of them wait.
        reserve: reserves disk space for what the upload has announced.
        failed: told why the upload came to its end before `finish`; it is discarded then.
    """

    def __init__(
        self,
        upload: UploadBody,
        in_thread: Callable[..., Deferred[Any]],
        pause: Callable[[bool], None],
        failed: Callable[[Failure], None],
        reserve: Callable[[Callable[[NoSpace], None]], Reservation],
    ) -> None:
        self._reservation = reserve(self._give_way)
        self._finishing = False
        self._upload = upload
        self._in_thread = in_thread
        self._pause_source = pause
        self._failed = failed
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._paused = self._was_paused = False
        self._busy = False  # a thread is at it
        self._over = False
        self._all_fed: Deferred[None] | None = None
        self._failure: Failure | None = None

    def write(self, data: bytes) -> None:
        """Take the next bytes of the body.

        Raises:
            NoSpace: the disk has no room for them.
            OSError: that cannot be known.
        """
        self._reservation.use(len(data))
        self._waiting.append(data)
        self._waiting_bytes += len(data)
        if len(self._waiting) >= MAX_BUFFERED_BLOCKS:
            self._waiting = [b"".join(self._waiting)]
        if not self._busy:
            self._feed()
        elif self._waiting_bytes >= MAX_BUFFERED_BYTES and not self._paused:
            self._paused = self._was_paused = True
            self._pause_source(True)

    def was_paused(self) -> bool:
        """Tell whether the source was paused at any time since this was last asked."""
        was, self._was_paused = self._was_paused, self._paused
        return was

    async def finish(self, writable: Callable[[], Awaitable[None]]) -> Binary:
        """Make the upload a binary, the body being complete; the disk holds its bytes then.

        Whatever is raised, the upload is discarded.

        Args:
            writable: returns when a binary can be stored.

        Raises:
            Problem: it cannot be one.
            OSError: `writable` raised it.
        """
        self._finishing = True
        try:
            await writable()
            if self._failure is not None:
                self._failure.raiseException()
            if self._busy:
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
        """Remove what was written, once no thread is at it any more; a second time does nothing."""
        if self._over:
            return
        self._over = True
        self._read_on()
        if not self._busy:
            self._remove()

    def _feed(self) -> None:
        blocks, self._waiting, self._waiting_bytes = self._waiting, [], 0
        self._read_on()
        self._run(self._upload.feed, b"".join(blocks)).addCallbacks(self._fed, self._not_fed)

    def _fed(self, _: object) -> None:
        if self._waiting and not self._over:
            self._feed()
        elif self._all_fed is not None:
            self._all_fed.callback(None)

    def _not_fed(self, failure: Failure) -> None:
        self._read_on()
        if self._all_fed is not None:
            self._all_fed.errback(failure)
        elif self._finishing:
            self._failure = failure
        elif not self._over:
            self._failed(failure)

    def _run(self, function: Callable[..., object], *arguments: object) -> Deferred[Any]:
        """Run it in a thread; to cancel what this returns leaves the thread at its work."""
        self._busy = True
        ran: Deferred[Any] = Deferred()

        def end(result: object) -> None:
            self._busy = False
            if self._over:
                self._remove()
            ran.callback(result)

        self._in_thread(function, *arguments).addBoth(end)
        return ran

    def _give_way(self, error: NoSpace) -> None:
        if not self._over and not self._finishing:
            self._failed(Failure(error))

    def _remove(self) -> None:
        # In a thread: to let go of a gigabyte takes a quarter of a second.
        self._in_thread(self._upload.discard).addBoth(lambda _: self._reservation.release())

    def _read_on(self) -> None:
        if self._paused:
            self._paused = False
            self._pause_source(False)
