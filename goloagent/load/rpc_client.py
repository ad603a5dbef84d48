"""The simulated users of one load test: N calls kept outstanding on one connection.

A closed loop: as each call returns, the next is made, until told to stop. Go's net/rpc pipelines
calls on a connection and answers in any order, so a user is a sequence number and not a socket.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any, cast
from typing import Protocol as Shape

from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.endpoints import HostnameEndpoint, TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import (
    IConsumer,
    IPullProducer,
    IPushProducer,
    IReactorTime,
    IStreamClientEndpoint,
    ISystemHandle,
    ITCPTransport,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from zope.interface import implementer

from goloagent.netrpc.conversation import Client
from goloagent.netrpc.gob import ProtocolError
from goloagent.sandbox import peer_check

METHOD = "Server.Run"
FIRST_DELAY_SECONDS = 0.01
LONGEST_DELAY_SECONDS = 0.5


class CallCounts(Shape):
    """Where calls are counted."""

    started: int
    ok: int
    failed: int


@implementer(IPullProducer)
class _Emptied:
    """Calls a function when a transport that it is registered with has sent all that it held."""

    def __init__(self, emptied: Callable[[], None]) -> None:
        self._emptied = emptied
        self._is_registered = False

    def resumeProducing(self) -> None:
        if self._is_registered:
            self._emptied()
        self._is_registered = True

    def stopProducing(self) -> None:
        """Do nothing: the connection is lost, which is told elsewhere."""


class RpcClient(Protocol):
    """`users` calls outstanding from `start` to `stop`.

    Args:
        counts: is brought up to date with every chunk of replies.
        returned: called once when calling has stopped and no call is in flight.
        lost: called once when the connection ends by itself, or with a sentence when the peer
            breaks the protocol.
    """

    transport: ITCPTransport
    _socket: socket.socket

    def __init__(
        self,
        users: int,
        counts: CallCounts,
        returned: Callable[[], None],
        lost: Callable[[str | None], None],
    ) -> None:
        self._users = users
        self._counts = counts
        self._returned = returned
        self._lost = lost
        self._client = Client()
        self._calling = False
        self._over = False
        self._behind = False
        self.at_itself = False
        self.last_error: str | None = None

    def connectionMade(self) -> None:
        """Send small writes at once, and hear nothing before `drive`; drop one to itself."""
        self.at_itself = _is_self_connection(self.transport)
        if self.at_itself:
            self.transport.abortConnection()
        else:
            self._socket = cast(socket.socket, cast(ISystemHandle, self.transport).getHandle())
            self.transport.setTcpNoDelay(True)
            cast(IPushProducer, self.transport).pauseProducing()

    @property
    def ends(self) -> tuple[peer_check.Endpoint, peer_check.Endpoint]:
        """The two ends of the connection, ours first."""
        ours, theirs = self.transport.getHost(), self.transport.getPeer()
        return peer_check.endpoint(ours.host, ours.port), peer_check.endpoint(
            theirs.host, theirs.port
        )

    def start(self) -> None:
        """Make the first call of every user."""
        self._calling = True
        cast(IPushProducer, self.transport).resumeProducing()
        self._call(self._users)

    def stop(self) -> None:
        """Make no further call; `returned` tells when the last one is back."""
        self._calling = False
        if not self._client.in_flight:
            self._returned()

    def hang_up(self) -> None:
        """Drop the connection, if there is one; nothing is reported any more."""
        self._over = True
        if not self.connected:
            return
        if self._behind:
            # A transport does not close in order as long as more may be produced.
            self._caught_up()
        if self._client.in_flight:
            self.transport.abortConnection()
        else:
            # A load test that is about to be told to end must not see a broken connection first.
            self.transport.loseConnection()

    def dataReceived(self, data: bytes) -> None:
        """Count what returned and make as many new calls."""
        if self._over:
            return
        try:
            replies = self._client.receive(data)
        except ProtocolError as error:
            self._over = True
            self.transport.abortConnection()
            self._lost(str(error))
            return
        if replies.errors:
            self.last_error = replies.errors[-1]
        self._counts.ok += replies.ok
        self._counts.failed += len(replies.errors)
        if self._calling:
            self._call(replies.ok + len(replies.errors))
        elif not self._client.in_flight:
            self._returned()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Tell an end that was not ours."""
        if not self._over and not self.at_itself:
            self._over = True
            self._lost(None)

    def _call(self, count: int) -> None:
        if count:
            self._send(self._client.calls(METHOD, count))
            self._counts.started += count

    def _send(self, data: bytes) -> None:
        """Send calls at once, as far as the socket takes them.

        The fast path beside `transport.write`, which leaves them to another turn of the reactor: it
        saves a third of the time of a call when users are few. While the transport holds what the
        socket did not take, it is given everything, so that calls stay in their order.
        """
        if not self._behind:
            try:
                sent = self._socket.send(data)
            except OSError:
                sent = 0  # it takes nothing now; or it is lost, which its reading will tell
            data = data[sent:]
            if data:
                self._behind = True
                # Asked to produce as soon as it is registered, and then when all is sent.
                consumer = cast(IConsumer, self.transport)
                consumer.registerProducer(_Emptied(self._caught_up), streaming=False)
        if data:
            self.transport.write(data)

    def _caught_up(self) -> None:
        """Take the fast path again: the transport has sent all that it held."""
        self._behind = False
        cast(IConsumer, self.transport).unregisterProducer()


def rpc_endpoint(reactor: Any, host: str, port: int) -> IStreamClientEndpoint:
    """Return the endpoint of a load test; only a name needs a thread to be resolved."""
    if isIPAddress(host):
        return TCP4ClientEndpoint(reactor, host, port)
    if isIPv6Address(host):
        return TCP6ClientEndpoint(reactor, host, port)
    return HostnameEndpoint(reactor, host, port)


def connect(
    clock: IReactorTime, endpoint: IStreamClientEndpoint, users: RpcClient
) -> Deferred[None]:
    """Connect `users`, with doubling delays, until it works or the Deferred is cancelled."""

    async def attempts() -> None:
        delay = FIRST_DELAY_SECONDS
        while True:
            try:
                await endpoint.connect(Factory.forProtocol(lambda: users))
            except ConnectError:
                pass
            else:
                if not users.at_itself:
                    return
            await deferLater(clock, delay)
            delay = min(2 * delay, LONGEST_DELAY_SECONDS)

    return ensureDeferred(attempts())


async def is_free(endpoint: IStreamClientEndpoint) -> bool:
    """Tell whether nobody listens: a stranger would be driven in a load test's place."""
    stranger = Protocol()
    try:
        await endpoint.connect(Factory.forProtocol(lambda: stranger))
    except ConnectError:
        return True
    transport = cast(ITCPTransport, stranger.transport)
    free = _is_self_connection(transport)
    transport.abortConnection()  # a closing in order would keep the port busy for a minute
    return free


def _is_self_connection(transport: ITCPTransport) -> bool:
    """Tell whether TCP has connected a socket to itself.

    It can while nobody listens, when the system happens to choose the port for the client's end.
    """
    return bool(transport.getHost() == transport.getPeer())
