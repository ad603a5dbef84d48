"""Opens connections: to a host by its addresses, through a tunnel of a proxy, and with TLS.

A `Stream` is a connection while it is being prepared; the protocol that will speak on it takes it
over when nothing can go wrong any more but the conversation itself.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable
from typing import Any, cast

import attrs
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import (
    IHandshakeListener,
    IOpenSSLClientConnectionCreator,
    IProtocol,
    IProtocolFactory,
    IResolutionReceiver,
    IStreamClientEndpoint,
    ITCPTransport,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from zope.interface import implementer

CONNECT_SECONDS = 10.0
MAX_TUNNEL_ANSWER_BYTES = 16 * 1024

Address = IPv4Address | IPv6Address
# Raises Untrusted if the far end, the second of two addresses, is not to be spoken to.
Vet = Callable[[Address, Address], Awaitable[None]]


class Untrusted(ConnectError):
    """An address is answered by a program that must not get what is sent."""


class ProxyError(Exception):
    """A proxy opens no tunnel; the message says what it answered."""


def refusing(
    holds: Callable[[tuple[str, int], tuple[str, int]], Awaitable[bool]],
) -> Vet:
    """Return a check that sends nothing to a load test in the place of a collector or proxy.

    Args:
        holds: whether a process of a load test may hold the far end, the second of two addresses.
    """

    async def vet(ours: Address, theirs: Address) -> None:
        if await holds((ours.host, ours.port), (theirs.host, theirs.port)):
            raise Untrusted(string="a process of the load test listens there")

    return vet


@implementer(IHandshakeListener)
class Stream(Protocol):
    """A connection that is prepared and then taken over by another protocol."""

    transport: ITCPTransport

    def __init__(self) -> None:
        self.received = b""
        self._successor: IProtocol | None = None
        self._lost: Failure | None = None
        self._waiting: Deferred[None] | None = None

    def happens(self) -> Deferred[None]:
        """Return a Deferred that fires when more is received or the TLS handshake completes."""
        self._waiting = Deferred()
        if self._lost is not None:
            self._waiting.errback(self._lost)
        return self._waiting

    def take_over(self, successor: IProtocol) -> None:
        """Hand the connection, and what was received and not used, to another protocol."""
        self._successor = successor
        successor.makeConnection(self.transport)
        received, self.received = self.received, b""
        if received:
            successor.dataReceived(received)
        if self._lost is not None:
            successor.connectionLost(self._lost)

    def dataReceived(self, data: bytes) -> None:
        """Pass data on, or keep it for the successor."""
        if self._successor is not None:
            self._successor.dataReceived(data)
        else:
            self.received += data
            self._happened()

    def handshakeCompleted(self) -> None:
        """Learn that TLS is ready and the peer verified."""
        self._happened()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Pass the end on, or have the preparation fail."""
        if self._successor is not None:
            self._successor.connectionLost(reason)
            return
        self._lost = reason
        if self._waiting is not None and not self._waiting.called:
            self._waiting.errback(reason)

    def _happened(self) -> None:
        if self._waiting is not None and not self._waiting.called:
            self._waiting.callback(None)


@attrs.frozen
class Tunnel:
    """A tunnel through an HTTP proxy to `authority` (``host:port``)."""

    authority: str
    authorization: str | None = attrs.field(default=None, repr=False)


async def _trust(ours: Address, theirs: Address) -> None:
    """Speak to whatever answers."""


@implementer(IStreamClientEndpoint)
@attrs.define(eq=False)
class Dialer:
    """Connects to a host and port, then in this order: TLS to a proxy, a tunnel, TLS to its end.

    The addresses of a name are tried one after the other, each with its share of `CONNECT_SECONDS`,
    and the one that worked last is the first.

    Args:
        vet: is asked before a byte is sent; an address that it raises for counts as unreachable.
        opened: the connections that were made.
    """

    _reactor: Any
    host: str
    port: int
    proxy_tls: IOpenSSLClientConnectionCreator | None = None
    tunnel: Tunnel | None = None
    tls: IOpenSSLClientConnectionCreator | None = None
    vet: Vet = _trust
    opened: int = attrs.field(default=0, init=False)
    _last: str | None = attrs.field(default=None, init=False)

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Connect a protocol; a Deferred that is cancelled leaves no connection."""
        return ensureDeferred(self._connect(protocolFactory))

    async def _connect(self, factory: IProtocolFactory) -> IProtocol:
        stream = await self._dial()
        try:
            if self.proxy_tls is not None:
                stream = await _secure(stream, self.proxy_tls)
            if self.tunnel is not None:
                await _open_tunnel(stream, self.tunnel)
            if self.tls is not None:
                stream = await _secure(stream, self.tls)
        except BaseException:
            stream.transport.abortConnection()
            raise
        self.opened += 1
        protocol = factory.buildProtocol(stream.transport.getPeer())
        assert protocol is not None
        stream.take_over(protocol)
        return protocol

    async def _dial(self) -> Stream:
        addresses = await self._addresses()
        addresses.sort(key=lambda address: address.host != self._last)
        deadline = self._reactor.seconds() + CONNECT_SECONDS
        error: Exception = ConnectError(string=f"the host name {self.host} cannot be resolved")
        for place, address in enumerate(addresses):
            seconds = (deadline - self._reactor.seconds()) / (len(addresses) - place)
            try:
                stream = await self._dial_one(address, seconds)
            except ConnectError as failed:
                if not isinstance(error, Untrusted):  # which tells more than the others
                    error = failed
                continue
            self._last = address.host
            return stream
        raise error

    async def _dial_one(self, address: Address, seconds: float) -> Stream:
        kind = TCP6ClientEndpoint if isinstance(address, IPv6Address) else TCP4ClientEndpoint
        endpoint = kind(self._reactor, address.host, self.port, timeout=seconds)
        stream = cast(Stream, await endpoint.connect(quiet_factory(Stream)))
        try:
            stream.transport.setTcpNoDelay(True)
            await self.vet(stream.transport.getHost(), stream.transport.getPeer())
        except BaseException:
            stream.transport.abortConnection()
            raise
        return stream

    async def _addresses(self) -> list[Address]:
        try:
            literal = ipaddress.ip_address(self.host.partition("%")[0])
        except ValueError:
            receiver = _Resolution()
            self._reactor.nameResolver.resolveHostName(receiver, self.host, self.port)
            await receiver.complete
            return receiver.addresses
        kind = IPv6Address if literal.version == 6 else IPv4Address
        return [kind("TCP", self.host, self.port)]


@implementer(IResolutionReceiver)
class _Resolution:
    """Collects the addresses of a name."""

    def __init__(self) -> None:
        self.addresses: list[Address] = []
        self.complete: Deferred[None] = Deferred()

    def resolutionBegan(self, resolutionInProgress: Any) -> None:
        """Do nothing: a resolution that nobody waits for any more ends by itself."""

    def addressResolved(self, address: Any) -> None:
        if isinstance(address, IPv4Address | IPv6Address):
            self.addresses.append(address)

    def resolutionComplete(self) -> None:
        if not self.complete.called:
            self.complete.callback(None)


def quiet_factory(protocol: Callable[[], Protocol]) -> Factory[Protocol]:
    """Return a factory of protocols that logs nothing."""
    factory = Factory.forProtocol(protocol)
    factory.noisy = False
    return factory


async def _secure(stream: Stream, creator: IOpenSSLClientConnectionCreator) -> Stream:
    """Return what speaks inside of TLS, once the handshake is complete and the peer verified."""
    inner = Stream()
    wrapping = TLSMemoryBIOFactory(creator, True, quiet_factory(lambda: inner))
    completed = inner.happens()
    stream.take_over(wrapping.buildProtocol(None))
    try:
        await completed
    except BaseException:
        stream.transport.abortConnection()
        raise
    return inner


async def _open_tunnel(stream: Stream, tunnel: Tunnel) -> None:
    """Have a proxy connect to the tunnel's end (RFC 9110, CONNECT)."""
    lines = [f"CONNECT {tunnel.authority} HTTP/1.1", f"Host: {tunnel.authority}"]
    if tunnel.authorization is not None:
        lines.append(f"Proxy-Authorization: {tunnel.authorization}")
    stream.transport.write("\r\n".join([*lines, "\r\n"]).encode("ascii"))
    while b"\r\n\r\n" not in stream.received:
        if len(stream.received) > MAX_TUNNEL_ANSWER_BYTES:
            raise ProxyError("the proxy's answer to CONNECT does not end")
        await stream.happens()
    head, _, stream.received = stream.received.partition(b"\r\n\r\n")
    status_line = head.split(b"\r\n")[0].decode("ascii", "replace")
    version, _, status = status_line.partition(" ")
    if not version.startswith("HTTP/1.") or not status[:3].isdigit():
        raise ProxyError("the proxy's answer to CONNECT is not HTTP")
    if not status.startswith("2"):
        raise ProxyError(f"the proxy answered {status.strip()} to CONNECT {tunnel.authority}")
