"""Connecting to the RPC address of a load test, which may not listen yet."""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.endpoints import HostnameEndpoint, TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint, ITCPTransport
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater

from goloagent.load.rpc_client import RpcClient, is_self_connection

MIN_DELAY_SECONDS = 0.01
MAX_DELAY_SECONDS = 0.5


def rpc_endpoint(reactor: Any, host: str, port: int) -> IStreamClientEndpoint:
    """Return the endpoint of an RPC address; only a host name is resolved in a thread."""
    if isIPAddress(host):
        return TCP4ClientEndpoint(reactor, host, port)
    if isIPv6Address(host):
        return TCP6ClientEndpoint(reactor, host, port)
    return HostnameEndpoint(reactor, host, port)


def connect(
    clock: IReactorTime, endpoint: IStreamClientEndpoint, client: RpcClient
) -> Deferred[None]:
    """Connect a client, with doubling delays, until it succeeds or the Deferred is cancelled."""

    async def attempts() -> None:
        delay = MIN_DELAY_SECONDS
        while True:
            try:
                await endpoint.connect(Factory.forProtocol(lambda: client))
            except ConnectError:
                pass
            else:
                if not client.is_self_connection:
                    return
            await deferLater(clock, delay)
            delay = min(2 * delay, MAX_DELAY_SECONDS)

    return ensureDeferred(attempts())


async def is_free(endpoint: IStreamClientEndpoint) -> bool:
    """Return whether no process listens: another one would be driven in the load test's place."""
    probe = Protocol()
    try:
        await endpoint.connect(Factory.forProtocol(lambda: probe))
    except ConnectError:
        return True
    transport = cast(ITCPTransport, probe.transport)
    free = is_self_connection(transport)
    transport.abortConnection()  # an orderly close would keep the port busy for a minute
    return free
