"""The bodies of a request and of its response."""

from __future__ import annotations

import zlib

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IConsumer, IReactorTime, ITransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.iweb import IBodyProducer
from zope.interface import implementer

from goloagent.concurrency.cooperation import cooperate
from goloagent.concurrency.steps import Steps

MAX_ANSWER_BYTES = 64 * 1024

_GZIP = 16 + zlib.MAX_WBITS
_STEP_BYTES = 64 * 1024


@implementer(IBodyProducer)
class RequestBody:
    """A body written at once, so that a response that does not wait for it is received."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self.length = len(body)

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        """Write the body."""
        consumer.write(self._body)
        return succeed(None)

    def pauseProducing(self) -> None:
        """Do nothing: the whole body is written."""

    def resumeProducing(self) -> None:
        """Do nothing: the whole body is written."""

    def stopProducing(self) -> None:
        """Do nothing: the whole body is written."""


class BodyPrefix(Protocol):
    """Reads the beginning of a response's body, and drops one that is longer or stalls.

    Attributes:
        is_whole: the body has ended.
    """

    transport: ITransport

    def __init__(self) -> None:
        self.received = b""
        self.is_whole = False
        self.over: Deferred[None] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        """Keep the beginning."""
        self.received += data[: MAX_ANSWER_BYTES - len(self.received)]
        if len(self.received) == MAX_ANSWER_BYTES:
            self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Handle the end of the body."""
        if not self.over.called:
            self.is_whole = reason.check(ResponseDone, PotentialDataLoss) is not None
            self.over.callback(None)

    def close(self) -> None:
        """Stop reading."""
        if not self.over.called:
            self.over.callback(None)
        self.transport.loseConnection()


async def compress(clock: IReactorTime, body: bytes) -> bytes:
    """Return the body as gzip; the same body has the same bytes.

    Level 1, because higher levels take several times as long for a few percent.
    """
    compressor = zlib.compressobj(1, wbits=_GZIP)
    parts: list[bytes] = []

    def steps() -> Steps[None]:
        for start in range(0, len(body), _STEP_BYTES):
            parts.append(compressor.compress(body[start : start + _STEP_BYTES]))
            yield

    await cooperate(clock, steps())
    return b"".join((*parts, compressor.flush()))
