"""Opens connections: to a host by its addresses, through a proxy's tunnel, and with TLS."""

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
    IOpenSSLClientConnectionCreator,
    IProtocol,
    IProtocolFactory,
    IResolutionReceiver,
    IStreamClientEndpoint,
)
from zope.interface import implementer

from goloagent.transport.stream import Stream, quiet_factory, start_tls
from goloagent.transport.tunnel import Tunnel

CONNECT_SECONDS = 10.0

Address = IPv4Address | IPv6Address
# Raises UntrustedPeer if the peer, the second of two addresses, must not receive data.
PeerCheck = Callable[[Address, Address], Awaitable[None]]


class UntrustedPeer(ConnectError):
    """The process at an address must not receive data."""


def refuse_load_tests(
    holds: Callable[[tuple[str, int], tuple[str, int]], Awaitable[bool]],
) -> PeerCheck:
    """Return a check that refuses a load test in the place of a collector or proxy.

    Args:
        holds: whether a process of a load test may hold the peer's socket, the second address.
    """

    async def check_peer(ours: Address, theirs: Address) -> None:
        if await holds((ours.host, ours.port), (theirs.host, theirs.port)):
            raise UntrustedPeer(string="a process of the load test listens there")

    return check_peer


async def _trust(ours: Address, theirs: Address) -> None:
    """Accept every peer."""


@implementer(IStreamClientEndpoint)
@attrs.define(eq=False)
class Dialer:
    """Connects to a host and port, then in this order: TLS to a proxy, a tunnel, TLS to its end.

    The addresses of a name are tried in sequence, the last successful one first, each with its
    share of `CONNECT_SECONDS`.

    Args:
        check_peer: awaited before a byte is sent; if it raises, the address is unreachable.
        opened: the number of connections made.
    """

    _reactor: Any
    host: str
    port: int
    proxy_tls: IOpenSSLClientConnectionCreator | None = None
    tunnel: Tunnel | None = None
    tls: IOpenSSLClientConnectionCreator | None = None
    check_peer: PeerCheck = _trust
    opened: int = attrs.field(default=0, init=False)
    _last: str | None = attrs.field(default=None, init=False)

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Connect a protocol; a cancelled Deferred leaves no connection."""
        return ensureDeferred(self._connect(protocolFactory))

    async def _connect(self, factory: IProtocolFactory) -> IProtocol:
        stream = await self._dial()
        try:
            if self.proxy_tls is not None:
                stream = await start_tls(stream, self.proxy_tls)
            if self.tunnel is not None:
                await self.tunnel.open(stream)
            if self.tls is not None:
                stream = await start_tls(stream, self.tls)
        except BaseException:
            stream.transport.abortConnection()
            raise
        self.opened += 1
        protocol = factory.buildProtocol(stream.transport.getPeer())
        assert protocol is not None
        stream.hand_over(protocol)
        return protocol

    async def _dial(self) -> Stream:
        addresses = await self._addresses()
        addresses.sort(key=lambda address: address.host != self._last)
        deadline = self._reactor.seconds() + CONNECT_SECONDS
        error: Exception = ConnectError(string=f"the host name {self.host} cannot be resolved")
        for place, address in enumerate(addresses):
            seconds = (deadline - self._reactor.seconds()) / (len(addresses) - place)
            try:
                stream = await self._dial_address(address, seconds)
            except ConnectError as failed:
                if not isinstance(error, UntrustedPeer):  # the most specific error
                    error = failed
                continue
            self._last = address.host
            return stream
        raise error

    async def _dial_address(self, address: Address, seconds: float) -> Stream:
        kind = TCP6ClientEndpoint if isinstance(address, IPv6Address) else TCP4ClientEndpoint
        endpoint = kind(self._reactor, address.host, self.port, timeout=seconds)
        stream = cast(Stream, await endpoint.connect(quiet_factory(Stream)))
        try:
            stream.transport.setTcpNoDelay(True)
            await self.check_peer(stream.transport.getHost(), stream.transport.getPeer())
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
        """Do nothing: an abandoned resolution ends without a cancel."""

    def addressResolved(self, address: Any) -> None:
        if isinstance(address, IPv4Address | IPv6Address):
            self.addresses.append(address)

    def resolutionComplete(self) -> None:
        if not self.complete.called:
            self.complete.callback(None)
