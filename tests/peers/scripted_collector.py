"""The real collector client against a server whose responses are bytes that the test chooses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
from twisted.internet.defer import Deferred, ensureDeferred, maybeDeferred
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.ssl import PrivateCertificate
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from goloagent.core.address import HttpUrl
from goloagent.outputs.labels import RunLabels
from goloagent.outputs.sink import Response
from goloagent.outputs.sinks.collector import CollectorSink
from goloagent.transport.tls import Tls
from peers.sinks import collector_sink

BODY = b'[{"timestamp":"2026-01-02T03:04:05Z"}]'
NO_CONTENT = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


class Peer(Protocol):
    """One connection; passes each whole request to the server's `script`."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._data = b""

    def connectionMade(self) -> None:
        self._server.open.append(self)
        self._server.arrived()

    def dataReceived(self, data: bytes) -> None:
        if self._server.hasty is not None:
            self.transport.pauseProducing()
            self.transport.write(self._server.hasty)
            self.transport.loseConnection()
            return
        self._data += data
        if self._data.endswith(BODY):
            request, self._data = self._data, b""
            self._server.requests.append(request)
            self._server.script(self)
            self._server.arrived()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._server.open.remove(self)
        self._server.arrived()


class Server:
    """A collector whose `script` writes the response to a request."""

    def __init__(
        self,
        reactor: Any,
        certificate: PrivateCertificate | None = None,
        interface: str = "127.0.0.1",
    ) -> None:
        factory = Factory.forProtocol(lambda: Peer(self))
        factory.noisy = False
        if certificate is None:
            self._port = reactor.listenTCP(0, factory, interface=interface)
        else:
            self._port = reactor.listenSSL(0, factory, certificate.options(), interface=interface)
        scheme = "http" if certificate is None else "https"
        self.port = self._port.getHost().port
        self.url = f"{scheme}://127.0.0.1:{self.port}"
        self.script: Callable[[Any], None] = lambda peer: peer.transport.write(NO_CONTENT)
        # A response sent before the request is complete, after which it stops reading.
        self.hasty: bytes | None = None
        self.requests: list[bytes] = []
        self.open: list[Peer] = []
        self._changed: Deferred[None] | None = None

    def arrived(self) -> None:
        """Wake up `until`."""
        changed, self._changed = self._changed, None
        if changed is not None:
            changed.callback(None)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until `condition` is true."""
        from twisted.internet import reactor

        while not condition():
            self._changed = Deferred()
            await self._changed.addTimeout(10, reactor)

    async def close(self) -> None:
        """Stop listening and drop every connection."""
        await maybeDeferred(self._port.stopListening)
        for peer in self.open:
            peer.transport.abortConnection()
        await self.until(lambda: not self.open)


@attrs.frozen
class _Body:
    """A batch with a body."""

    key: str
    _body: bytes

    def body(self) -> bytes:
        return self._body


class Pusher:
    """The real collector client with its timers on a fake clock."""

    def __init__(self, reactor: Any, insecure: bool = False, **options: Any) -> None:
        self.clock = Clock()
        self._reactor = reactor
        self._options = {"tls": Tls(insecure)} | options
        self._collectors: dict[str, CollectorSink] = {}

    def collector(self, url: str) -> CollectorSink:
        """Return the client of a URL, cached."""
        if url not in self._collectors:
            made = collector_sink(self._reactor, HttpUrl.parse(url), **self._options)
            self._collectors[url] = attrs.evolve(
                made, poster=attrs.evolve(made.poster, clock=self.clock)
            )
        return self._collectors[url]

    def push(self, url: str, key: str = "job/0-9", body: bytes = BODY) -> Deferred[Response]:
        """Push one batch."""
        job, _, last = key.partition("/")
        batch: Any = _Body(last, body)
        return ensureDeferred(
            self.collector(url).send(RunLabels(job, "shop", job, "agent"), batch, 0)
        )

    async def close(self) -> None:
        """Close idle connections."""
        for made in self._collectors.values():
            await made.close()
