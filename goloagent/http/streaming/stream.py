"""A long response, written as fast as its client reads.

The connection of a client that reads nothing is aborted: by the kernel for TCP, otherwise once
64 KiB are buffered. An error after the headers aborts it, too, so that no client takes a part for
the complete response.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from goloagent.http.server.request import Request
from goloagent.http.server.transport import set_send_timeout, unsent_bytes


@implementer(IPushProducer)
class Stream:
    """The body of the response to `request`; subclasses implement `produce` and `release`.

    Args:
        stall_seconds: the maximum time without progress while bytes are unsent.
    """

    _log = Logger()

    def __init__(self, request: Request, clock: IReactorTime, stall_seconds: float) -> None:
        self._request = request
        self._clock = clock
        self._stall_seconds = stall_seconds
        self._stall: IDelayedCall | None = None
        self._written = False
        self._unsent = 0  # at the last check, and written since
        self._transport: Any = request.channel.transport
        self._ended: Deferred[None] = Deferred(lambda _: self._close())
        self.paused = False

    def start(self) -> Deferred[None]:
        """Send the headers and available bytes; the Deferred fires at the end of the response.

        A route returns it unchanged, so that Klein cancels it if the client disconnects.

        Raises:
            OSError: the first bytes cannot be read.
        """
        set_send_timeout(self._transport, self._stall_seconds)
        self._request.registerProducer(self, streaming=True)
        try:
            self.produce()
        except Exception:
            self._close()
            self._request.unregisterProducer()
            raise
        if not self._written:
            self._request.write(b"")
        return self._ended

    def produce(self) -> None:
        """Write available bytes while not `paused`."""

    def release(self) -> None:
        """Release resources; nothing is written later. A second time does nothing."""

    def write(self, data: bytes) -> None:
        """Write to the client."""
        self._written = True
        self._unsent += len(data)
        self._request.write(data)

    def end(self) -> None:
        """Complete the response."""
        self._close()
        self._request.unregisterProducer()
        self._ended.callback(None)

    def abort(self, why: str) -> None:
        """Abort the connection of an incomplete response."""
        self._log.info("aborting {request}: {why}", request=self._request.line, why=why)
        self._close()
        self._transport.abortConnection()

    def attempt(self, act: Callable[[], object]) -> None:
        """Call a function that writes to the client; an error aborts the response."""
        try:
            act()
        except OSError as error:
            self.abort(str(error))
        except Exception:
            self._log.failure("cannot continue {request}", request=self._request.line)
            self.abort("internal error")

    def pauseProducing(self) -> None:
        """Stop writing, because the transport's buffer is full."""
        self.paused = True
        if self._stall is None:
            self._watch()

    def resumeProducing(self) -> None:
        """Continue."""
        self.paused = False
        self._end_stall()
        self.attempt(self.produce)

    def stopProducing(self) -> None:
        """Do nothing: the request reports a lost connection."""

    def _watch(self) -> None:
        """Abort the response if the client makes no progress in the stall time."""
        self._unsent = unsent_bytes(self._transport)
        self._stall = self._clock.callLater(self._stall_seconds, self._check_progress)

    def _check_progress(self) -> None:
        self._stall = None
        if unsent_bytes(self._transport) < self._unsent:
            self._watch()
        else:
            self.abort("the client does not read")

    def _close(self) -> None:
        self.paused = True
        self._end_stall()
        self.release()

    def _end_stall(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
        self._stall = None
