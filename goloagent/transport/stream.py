"""A connection that is prepared, by a tunnel and TLS, before a protocol takes it over."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IHandshakeListener,
    IOpenSSLClientConnectionCreator,
    IProtocol,
    ITCPTransport,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from zope.interface import implementer


@implementer(IHandshakeListener)
class Stream(Protocol):
    """The protocol of a connection until `hand_over`; it buffers what it receives."""

    transport: ITCPTransport

    def __init__(self) -> None:
        self.received = b""
        self._successor: IProtocol | None = None
        self._lost: Failure | None = None
        self._waiting: Deferred[None] | None = None

    def next_event(self) -> Deferred[None]:
        """Return a Deferred that fires when data arrives or the TLS handshake completes.

        It fails when the connection is lost.
        """
        self._waiting = Deferred()
        if self._lost is not None:
            self._waiting.errback(self._lost)
        return self._waiting

    def hand_over(self, successor: IProtocol) -> None:
        """Hand the connection and the buffered data to another protocol."""
        self._successor = successor
        successor.makeConnection(self.transport)
        received, self.received = self.received, b""
        if received:
            successor.dataReceived(received)
        if self._lost is not None:
            successor.connectionLost(self._lost)

    def dataReceived(self, data: bytes) -> None:
        """Pass data to the successor, or buffer it."""
        if self._successor is not None:
            self._successor.dataReceived(data)
        else:
            self.received += data
            self._fire()

    def handshakeCompleted(self) -> None:
        """Note that TLS is ready and the peer is verified."""
        self._fire()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Pass the loss to the successor, or fail the preparation."""
        if self._successor is not None:
            self._successor.connectionLost(reason)
            return
        self._lost = reason
        if self._waiting is not None and not self._waiting.called:
            self._waiting.errback(reason)

    def _fire(self) -> None:
        if self._waiting is not None and not self._waiting.called:
            self._waiting.callback(None)


def quiet_factory(protocol: Callable[[], Protocol]) -> Factory[Protocol]:
    """Return a factory of protocols that logs nothing."""
    factory = Factory.forProtocol(protocol)
    factory.noisy = False
    return factory


async def start_tls(stream: Stream, creator: IOpenSSLClientConnectionCreator) -> Stream:
    """Return the stream inside TLS, after the handshake, in which the peer is verified."""
    inner = Stream()
    wrapper = TLSMemoryBIOFactory(creator, True, quiet_factory(lambda: inner))
    completed = inner.next_event()
    stream.hand_over(wrapper.buildProtocol(None))
    try:
        await completed
    except BaseException:
        stream.transport.abortConnection()
        raise
    return inner
