"""A socket that TCP connects to itself, which happens on ports the system gives to clients."""

from __future__ import annotations

import pytest_twisted
from peers.ports import free_port
from twisted.internet.defer import CancelledError
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.task import deferLater

from goloagent.jobs.job import CallCounts
from goloagent.load.rpc_client import RpcClient, connect, is_free


@pytest_twisted.ensureDeferred
async def test_nobody_listens() -> None:
    """An answer from one's own socket is neither a stranger on the port nor a load test."""
    from twisted.internet import reactor

    port = free_port()
    itself = TCP4ClientEndpoint(reactor, "127.0.0.1", port, bindAddress=("127.0.0.1", port))
    assert await is_free(itself)
    told: list[object] = []
    users = RpcClient(1, CallCounts(), lambda: told.append("returned"), told.append)
    connecting = connect(reactor, itself, users)
    # The attempt and the closing of its socket, which is told in a later turn of the reactor.
    while not users.at_itself:
        await deferLater(reactor, 0)
    while users.transport.connected:
        await deferLater(reactor, 0)
    assert not connecting.called
    connecting.addErrback(lambda failure: failure.trap(CancelledError))
    connecting.cancel()
    assert told == []
