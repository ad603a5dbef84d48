"""An RPC client under test, and a load test at the other end of a connection in memory."""

from __future__ import annotations

from collections import deque
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from goloagent.core.profile.load_profile import LoadProfile
from goloagent.core.profile.parser import constant
from goloagent.jobs.job import CallCounts
from goloagent.load.load_driver import LoadDriver
from goloagent.load.rpc_client import RpcClient
from goloagent.netrpc import Call, Server

LOCAL = IPv4Address("TCP", "127.0.0.1", 40000)
REMOTE = IPv4Address("TCP", "127.0.0.1", 9999)


class Reports:
    """The counts and callbacks of a client."""

    driver: LoadDriver

    def __init__(self) -> None:
        self.calls = CallCounts()
        self.clock = Clock()
        self.drained = 0
        self.errors: list[str] = []
        self.lost: list[str | None] = []

    def client(self, users: int) -> RpcClient:
        """Return a client on which `driver` drives a closed loop for a minute."""
        return self.follow(constant("users", users, 60))

    def follow(self, profile: LoadProfile) -> RpcClient:
        """Return a client on which `driver` drives a profile."""

        def drained() -> None:
            self.drained += 1

        client = RpcClient(self.lost.append)
        self.driver = LoadDriver(
            profile,
            client,
            self.calls,
            drained,
            self.errors.extend,
            self.clock,
            lambda: round(self.clock.seconds() * 1e9),
        )
        return client


class Wire(StringTransport):
    """A TCP transport in memory, which is its own socket; a write after its close is an error."""

    def __init__(self, host: IPv4Address = LOCAL, peer: IPv4Address = REMOTE) -> None:
        super().__init__(hostAddress=host, peerAddress=peer)
        self.no_delay = False
        self.is_closed = False
        self.is_closed_by_peer = False
        self.was_reset = False
        # The space in the socket's send buffer; the transport buffers the rest.
        self.socket_bytes = 1 << 20
        self.buffered_bytes = 0
        # Bytes that the peer has sent and the client has not read.
        self.incoming = bytearray()

    def setTcpNoDelay(self, enabled: bool) -> None:
        self.no_delay = enabled

    def abortConnection(self) -> None:
        self.is_closed = self.was_reset = True

    def loseConnection(self) -> None:
        assert self.producer is None, "a transport with a producer does not close"
        self.is_closed = True

    def getHandle(self) -> Wire:
        return self

    def recv(self, size: int) -> bytes:
        if not self.incoming and not self.is_closed:
            raise BlockingIOError
        data = bytes(self.incoming[:size])
        del self.incoming[:size]
        return data

    def send(self, data: bytes) -> int:
        if self.is_closed_by_peer:
            raise BrokenPipeError
        if not self.socket_bytes:
            raise BlockingIOError
        accepted = data[: self.socket_bytes]
        self.socket_bytes -= len(accepted)
        self._write(accepted)
        return len(accepted)

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        super().registerProducer(producer, streaming)
        if not streaming:
            producer.resumeProducing()

    def flush(self) -> None:
        """Empty the transport's buffer into the socket, which has space again."""
        self.socket_bytes = 1 << 20
        if self.producer is not None:
            self.producer.resumeProducing()

    def write(self, data: bytes) -> None:
        self.buffered_bytes += len(data)
        self._write(data)

    def _write(self, data: bytes) -> None:
        assert not self.is_closed or self.is_closed_by_peer, "a write after the close"
        super().write(data)


class Peer:
    """A load test connected to `client`, which replies when the test asks for it."""

    def __init__(self, client: RpcClient) -> None:
        self._client = client
        self._server = Server()
        self._outstanding: deque[Call] = deque()
        self.methods: set[str] = set()
        self.wire = Wire()
        client.makeConnection(self.wire)

    @property
    def outstanding(self) -> int:
        """The number of calls without a reply."""
        self._receive()
        return len(self._outstanding)

    def replies(self, count: int = 1, error: str | None = None, last_first: bool = False) -> bytes:
        """Encode the replies to `count` calls, the oldest or the newest."""
        self._receive()
        pop = self._outstanding.pop if last_first else self._outstanding.popleft
        return b"".join(self._server.reply(pop(), error) for _ in range(count))

    def reply(self, count: int = 1, error: str | None = None) -> None:
        """Reply to `count` calls in one chunk."""
        self.send(self.replies(count, error))

    def send(self, data: bytes) -> None:
        """Send bytes, unless the connection is closed."""
        if not self.wire.is_closed:
            self.wire.incoming += data
            self.turn()

    def close(self) -> None:
        """Close the connection, unless it is closed."""
        if not self.wire.is_closed:
            self.wire.is_closed = self.wire.is_closed_by_peer = True
            self.turn()

    def turn(self) -> None:
        """Let the transport read, as in a turn of the reactor, unless it is paused."""
        if self.wire.producerState != "producing":
            return
        if self.wire.incoming:
            self._client.dataReceived(self.wire.recv(len(self.wire.incoming)))
        elif self.wire.is_closed_by_peer:
            self._client.connectionLost(Failure(ConnectionDone()))

    def _receive(self) -> None:
        calls = self._server.receive(self.wire.value())
        self.wire.clear()
        self._outstanding += calls
        self.methods |= {call.method for call in calls}
