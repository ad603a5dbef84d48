"""An HTTP proxy that forwards absolute URIs, opens tunnels for CONNECT, and records requests."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure


class Proxy:
    """A proxy on a port of 127.0.0.1 that resolves every name to 127.0.0.1.

    `requests` are the heads of requests; `refusal` is a status line that replaces forwarding.
    """

    def __init__(self, reactor: Any, certificate: Any = None) -> None:
        self.reactor = reactor
        self.requests: list[list[str]] = []
        self.refusal: str | None = None
        self.open: set[Protocol] = set()
        factory = Factory.forProtocol(lambda: _Client(self))
        factory.noisy = False
        if certificate is None:
            self._port = reactor.listenTCP(0, factory, interface="127.0.0.1")
        else:
            self._port = reactor.listenSSL(0, factory, certificate.options(), interface="127.0.0.1")
        self.address = f"127.0.0.1:{self._port.getHost().port}"
        self._idle: Deferred[None] | None = None

    def closed(self, connection: Protocol) -> None:
        """Remove a connection that has ended."""
        self.open.discard(connection)
        if self._idle is not None and not self.open:
            self._idle.callback(None)

    async def close(self) -> None:
        """Stop listening and drop every connection."""
        await maybeDeferred(self._port.stopListening)
        if self.open:
            self._idle = Deferred()
            for connection in list(self.open):
                connection.transport.abortConnection()
            await self._idle.addTimeout(10, self.reactor)


class _Half(Protocol):
    """One of two connected sides."""

    transport: Any

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        self.other: _Half | None = None

    def connectionMade(self) -> None:
        self.proxy.open.add(self)

    def dataReceived(self, data: bytes) -> None:
        if self.other is not None:
            self.other.transport.write(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.proxy.closed(self)
        if self.other is not None:
            self.other.transport.loseConnection()


class _Client(_Half):
    """The client's side, with one request per connection."""

    def __init__(self, proxy: Proxy) -> None:
        super().__init__(proxy)
        self._data = b""
        self._asked = False

    def dataReceived(self, data: bytes) -> None:
        if self._asked and self.other is not None:
            super().dataReceived(data)
            return
        self._data += data
        if not self._asked and b"\r\n\r\n" in self._data:
            self._asked = True
            self._ask()

    def _ask(self) -> None:
        head = self._data.partition(b"\r\n\r\n")[0].decode("ascii").split("\r\n")
        self.proxy.requests.append(head)
        method, target, _ = head[0].split(" ")
        if self.proxy.refusal is not None:
            self.transport.write(
                f"HTTP/1.1 {self.proxy.refusal}\r\nContent-Length: 0\r\n\r\n".encode()
            )
            self.transport.loseConnection()
            return
        port = int(target.removeprefix("http://").partition("/")[0].rpartition(":")[2])
        connecting = TCP4ClientEndpoint(self.proxy.reactor, "127.0.0.1", port).connect(
            Factory.forProtocol(lambda: _Half(self.proxy))
        )
        connecting.addCallback(self._connected, method)

    def _connected(self, other: Any, method: str) -> None:
        self.other, other.other = other, self
        if method == "CONNECT":
            self.transport.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            self._data = self._data.partition(b"\r\n\r\n")[2]
        other.transport.write(self._data)
        self._data = b""
