"""An answer that goes on for long, written only as fast as its client reads.

A client that takes nothing is dropped: by the kernel where the connection is TCP, and where it is
not, once more than the transport's 64 KiB wait. A client that takes something, however slowly, gets
all of it. An error behind the headers drops the connection, so that no client takes a part for the
whole. Does not know what is written.
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
    """The body of the answer to `request`; those who extend it say what `flow` writes.

    Args:
        stall_seconds: how long a client may take nothing while there is something to take.
    """

    _log = Logger()

    def __init__(self, request: Request, clock: IReactorTime, stall_seconds: float) -> None:
        self._request = request
        self._clock = clock
        self._stall_seconds = stall_seconds
        self._stall: IDelayedCall | None = None
        self._written = False
        self._unsent = 0  # when this was last looked at, and what was written since
        self._transport: Any = request.channel.transport
        self._ended: Deferred[None] = Deferred(lambda _: self._let_go())
        self.paused = False

    def start(self) -> Deferred[None]:
        """Send the headers and what there is; fires at the end, cancelled if the client has gone.

        To be returned by a route, as it is: Klein cancels it.

        Raises:
            OSError: what is to be sent cannot be read.
        """
        set_send_timeout(self._transport, self._stall_seconds)
        self._request.registerProducer(self, streaming=True)
        try:
            self.produce()
        except Exception:
            self._let_go()
            self._request.unregisterProducer()
            raise
        if not self._written:
            self._request.write(b"")
        return self._ended

    def produce(self) -> None:
        """Write what there is to write now, while not `paused`."""

    def release(self) -> None:
        """Let go of what is held: nothing more can be written. A second time does nothing."""

    def write(self, data: bytes) -> None:
        """Have the client read `data`."""
        self._written = True
        self._unsent += len(data)
        self._request.write(data)

    def end(self) -> None:
        """End the answer in order."""
        self._let_go()
        self._request.unregisterProducer()
        self._ended.callback(None)

    def abort(self, why: str) -> None:
        """Drop the connection: the client is to know that this is not all."""
        self._log.info("dropping the client of {uri}: {why}", uri=self._request.uri, why=why)
        self._let_go()
        self._transport.abortConnection()

    def attempt(self, act: Callable[[], object]) -> None:
        """Do what writes to the client; an error drops it, and is no caller's business."""
        try:
            act()
        except OSError as error:
            self.abort(str(error))
        except Exception:
            self._log.failure("cannot go on with {uri}", uri=self._request.uri)
            self.abort("an error of the agent")

    def pauseProducing(self) -> None:
        """Write nothing for now: more waits than the transport likes to hold."""
        self.paused = True
        if self._stall is None:
            self._watch()

    def resumeProducing(self) -> None:
        """Go on."""
        self.paused = False
        self._end_stall()
        self.attempt(self.produce)

    def stopProducing(self) -> None:
        """Wait for the request to say that its connection is lost."""

    def _watch(self) -> None:
        """Drop the client if, at the end of the stall time, it has taken nothing."""
        self._unsent = unsent_bytes(self._transport)
        self._stall = self._clock.callLater(self._stall_seconds, self._check_progress)

    def _check_progress(self) -> None:
        self._stall = None
        if unsent_bytes(self._transport) < self._unsent:
            self._watch()
        else:
            self.abort("it reads nothing")

    def _let_go(self) -> None:
        self.paused = True
        self._end_stall()
        self.release()

    def _end_stall(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
        self._stall = None
