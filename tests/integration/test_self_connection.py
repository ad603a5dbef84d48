"""A socket that TCP connects to itself, which happens on ephemeral ports."""

from __future__ import annotations

from peers.ports import free_port
from twisted.internet import reactor
from twisted.internet.defer import CancelledError
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.task import deferLater

from goloagent.load.connector import connect, is_free
from goloagent.load.rpc_client import RpcClient


async def test_a_self_connection_is_not_a_listener() -> None:
    """A socket's connection to itself is neither a foreign listener nor a load test."""
    port = free_port()
    itself = TCP4ClientEndpoint(reactor, "127.0.0.1", port, bindAddress=("127.0.0.1", port))
    assert await is_free(itself)
    reports: list[object] = []
    client = RpcClient(reports.append)
    connecting = connect(reactor, itself, client)
    # The reactor reports the close of the socket in a later turn.
    while not client.is_self_connection:
        await deferLater(reactor, 0)
    while client.transport.connected:
        await deferLater(reactor, 0)
    assert not connecting.called
    connecting.addErrback(lambda failure: failure.trap(CancelledError))
    connecting.cancel()
    assert reports == []
