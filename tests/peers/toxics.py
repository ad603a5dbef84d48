"""A TCP proxy between agent and collector with the faults of a bad network.

The names are those of Toxiproxy where it has the fault.
"""

from __future__ import annotations

from collections import deque
from enum import Enum
from typing import Any

from twisted.internet import defer
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

LATENCY_SECONDS = 0.2
SLICE_BYTES = 1000
CUT_BYTES = 5000
CUT_ANSWER_BYTES = 20
GARBAGE = b"\0\xff220 mail.example ESMTP\r\n\r\n"
BLOCK_BYTES = 64 * 1024
ENDLESS_BYTES = 10**9


class Toxic(Enum):
    """A fault of a connection."""

    LATENCY = "everything arrives 0.2 s late"
    SLICER = "everything arrives in pieces of 1000 bytes"
    RESET = "a reset in the middle of the request"
    CUT = "an orderly end in the middle of the request"
    HANG = "accepted, and then nothing"
    LOST_ANSWER = "the collector answers when the agent's connection is gone"
    CUT_ANSWER = "the answer ends in the middle of its headers"
    GARBAGE = "what answers does not speak HTTP"
    STALLED_BODY = "the answer's body stops, and nothing ends"
    ENDLESS_BODY = "the answer's body has a gigabyte"


class Proxy:
    """Forwards connections to the collector at `collector_port`.

    The first `poisoned` connections have the toxic. `hits` counts its uses, and `wasted_bytes` the
    data sent of endless bodies.
    """

    def __init__(self, reactor: Any, collector_port: int, toxic: Toxic, poisoned: int) -> None:
        self.reactor = reactor
        self.toxic = toxic
        self.hits = 0
        self.wasted_bytes = 0
        self._poisoned = poisoned
        self._collector = HostnameEndpoint(reactor, "127.0.0.1", collector_port)
        self._sides: set[_Side] = set()
        self._all_closed: defer.Deferred[None] | None = None
        factory = Factory.forProtocol(lambda: _Near(self, self._next_toxic()))
        factory.noisy = False
        self._listening = reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.url = f"http://127.0.0.1:{self._listening.getHost().port}"

    async def close(self) -> None:
        """Stop listening and drop every connection."""
        await defer.maybeDeferred(self._listening.stopListening)
        self.drop()
        if self._sides:
            self._all_closed = defer.Deferred()
            await self._all_closed

    def drop(self) -> None:
        """Drop every open connection."""
        for side in self._sides:
            side.transport.abortConnection()

    def connect(self, near: _Near) -> defer.Deferred[Any]:
        """Connect to the collector for `near`."""
        factory = Factory.forProtocol(lambda: _Far(self, near))
        factory.noisy = False
        return self._collector.connect(factory)

    def opened(self, side: _Side) -> None:
        """Add an open connection."""
        self._sides.add(side)

    def closed(self, side: _Side) -> None:
        """Remove a connection."""
        self._sides.remove(side)
        if not self._sides and self._all_closed is not None:
            self._all_closed.callback(None)

    def _next_toxic(self) -> Toxic | None:
        if self._poisoned == 0:
            return None
        self._poisoned -= 1
        return self.toxic


class _Side(Protocol):
    """One of two connected sides; data received on one is sent on the other."""

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        self.toxic: Toxic | None = None
        self._outgoing: deque[bytes] = deque()

    def connectionMade(self) -> None:
        self.transport.setTcpNoDelay(True)
        self.proxy.opened(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.proxy.closed(self)

    def send(self, data: bytes) -> None:
        """Write with the delay and in the pieces of the toxic."""
        if self.toxic is Toxic.LATENCY:
            self.proxy.hits += 1
            self._outgoing.append(data)
            self.proxy.reactor.callLater(LATENCY_SECONDS, self._write_next)
        elif self.toxic is Toxic.SLICER:
            self.proxy.hits += 1
            pieces = range(0, len(data), SLICE_BYTES)
            self._outgoing.extend(data[start : start + SLICE_BYTES] for start in pieces)
            for _ in pieces:
                self.proxy.reactor.callLater(0, self._write_next)
        else:
            self.transport.write(data)

    def _write_next(self) -> None:
        data = self._outgoing.popleft()
        if self.connected:
            self.transport.write(data)


class _Near(_Side):
    """The agent's connection."""

    def __init__(self, proxy: Proxy, toxic: Toxic | None) -> None:
        super().__init__(proxy)
        self.toxic = toxic
        self.received = 0
        self._far: _Far | None = None
        self._early = b""

    def connectionMade(self) -> None:
        super().connectionMade()
        if self.toxic is Toxic.HANG:
            self.proxy.hits += 1
            return
        self.proxy.connect(self).addCallbacks(self._connected, self._not_connected)

    def dataReceived(self, data: bytes) -> None:
        self.received += len(data)
        if self.toxic is Toxic.HANG:
            return
        if self.toxic in (Toxic.RESET, Toxic.CUT) and self.received > CUT_BYTES:
            self.proxy.hits += 1
            self._pass_on(data[: CUT_BYTES - self.received])
            if self.toxic is Toxic.RESET:
                self.transport.abortConnection()
            else:
                self.transport.loseConnection()
            return
        self._pass_on(data)

    def answered(self, data: bytes) -> None:
        """Forward or replace a response of the collector."""
        if self.toxic is Toxic.LOST_ANSWER:
            self.proxy.hits += 1
            self.transport.abortConnection()
        elif self.toxic is Toxic.CUT_ANSWER:
            self.proxy.hits += 1
            self.transport.write(data[:CUT_ANSWER_BYTES])
            self.transport.loseConnection()
        elif self.toxic is Toxic.GARBAGE:
            self.proxy.hits += 1
            self.transport.write(GARBAGE)
            self.transport.loseConnection()
        elif self.toxic in (Toxic.STALLED_BODY, Toxic.ENDLESS_BODY):
            self.proxy.hits += 1
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % ENDLESS_BYTES)
            if self.toxic is Toxic.ENDLESS_BODY:
                self.transport.registerProducer(self, False)
        else:
            self.send(data)

    def resumeProducing(self) -> None:
        """Write more of an endless body."""
        self.proxy.wasted_bytes += BLOCK_BYTES
        self.transport.write(bytes(BLOCK_BYTES))

    def stopProducing(self) -> None:
        """Do nothing, because the connection is closed."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)
        if self._far is not None:
            self._far.transport.loseConnection()

    def _pass_on(self, data: bytes) -> None:
        if self._far is None:
            self._early += data
        else:
            self._far.send(data)

    def _connected(self, far: _Far) -> None:
        self._far = far
        far.send(self._early)
        if not self.connected:
            far.transport.loseConnection()

    def _not_connected(self, _: Failure) -> None:
        self.transport.abortConnection()


class _Far(_Side):
    """The connection to the collector."""

    def __init__(self, proxy: Proxy, near: _Near) -> None:
        super().__init__(proxy)
        self.toxic = near.toxic
        self._near = near

    def dataReceived(self, data: bytes) -> None:
        if self._near.connected:
            self._near.answered(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)
        if self._near.connected:
            self._near.transport.loseConnection()
