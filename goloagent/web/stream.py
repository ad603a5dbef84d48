"""An answer that goes on for long, written only as fast as its client reads.

A client that reads nothing is dropped: by the kernel where the connection is TCP, and where it is
not, once more than the transport's 64 KiB wait. Does not know what is written.
"""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from goloagent.web.request import Request


@implementer(IPushProducer)
class Stream:
    """The body of the answer to `request`; those who extend it say what `flow` writes.

    Args:
        stall_seconds: how long a client may read nothing while there is something to read.
    """

    _log = Logger()

    def __init__(self, request: Request, clock: IReactorTime, stall_seconds: float) -> None:
        self._request = request
        self._clock = clock
        self._stall_seconds = stall_seconds
        self._stall: IDelayedCall | None = None
        self._transport: Any = request.channel.transport
        self._ended: Deferred[None] = Deferred(lambda _: self._let_go())
        self.paused = False

    def begin(self) -> Deferred[None]:
        """Send the headers and what there is; fires at the end, cancelled if the client has gone.

        To be returned by a route, as it is: Klein cancels it.
        """
        _drop_when_stalled(self._transport, self._stall_seconds)
        self._request.registerProducer(self, streaming=True)
        self._request.write(b"")
        self.flow()
        return self._ended

    def flow(self) -> None:
        """Write what there is to write now, while not `paused`."""

    def release(self) -> None:
        """Let go of what is held: nothing more can be written."""

    def write(self, data: bytes) -> None:
        """Have the client read `data`."""
        self._request.write(data)

    def end(self) -> None:
        """End the answer in order."""
        self._let_go()
        self._request.unregisterProducer()
        self._ended.callback(None)

    def abort(self, why: str) -> None:
        """Drop the connection: the client is to know that this is not all."""
        self._log.info("dropping the client of {uri}: {why}", uri=self._request.uri, why=why)
        self._transport.abortConnection()

    def pauseProducing(self) -> None:
        """Write nothing for now: more waits than the transport likes to hold."""
        self.paused = True
        self._stall = self._clock.callLater(self._stall_seconds, self.abort, "it reads nothing")

    def resumeProducing(self) -> None:
        """Go on."""
        self.paused = False
        self._end_stall()
        self.flow()

    def stopProducing(self) -> None:
        """Wait for the request to say that its connection is lost."""

    def _let_go(self) -> None:
        self.paused = True
        self._end_stall()
        self.release()

    def _end_stall(self) -> None:
        if self._stall is not None and self._stall.active():
            self._stall.cancel()
        self._stall = None


def _drop_when_stalled(transport: Any, seconds: float) -> None:
    """Have the kernel end a TCP connection when what is sent is not taken for so long.

    It alone knows: its own buffers hold minutes of what is sent a line at a time.
    """
    connection = getattr(transport, "socket", None)
    if connection is not None and connection.family in (socket.AF_INET, socket.AF_INET6):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(seconds * 1000))
