"""A load test at the other end of a connection in memory, answering as Go's net/rpc does."""

from __future__ import annotations

from collections import deque
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from goloagent.load.rpc_client import RpcClient
from goloagent.netrpc.conversation import Call, Server

HERE = IPv4Address("TCP", "127.0.0.1", 40000)
THERE = IPv4Address("TCP", "127.0.0.1", 9999)


class Wire(StringTransport):
    """A TCP transport that keeps what is written, and fails the test for a write after its end."""

    def __init__(self, host: IPv4Address = HERE, peer: IPv4Address = THERE) -> None:
        super().__init__(hostAddress=host, peerAddress=peer)
        self.no_delay = False
        self.gone = False
        self.was_reset = False
        # How much is taken at once; the rest is sent by and by.
        self.takes_bytes = 1 << 20
        # What was not taken at once.
        self.written_bytes = 0

    def setTcpNoDelay(self, enabled: bool) -> None:
        self.no_delay = enabled

    def abortConnection(self) -> None:
        self.gone = self.was_reset = True

    def loseConnection(self) -> None:
        assert self.producer is None, "it would wait for what is produced"
        self.gone = True

    def getHandle(self) -> Wire:
        return self

    def send(self, data: bytes) -> int:
        if not self.takes_bytes:
            raise BlockingIOError
        taken = data[: self.takes_bytes]
        self.takes_bytes -= len(taken)
        self._write(taken)
        return len(taken)

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        super().registerProducer(producer, streaming)
        if not streaming:
            producer.resumeProducing()

    def empty(self) -> None:
        """Have the socket take all that waits, and as much more as before."""
        self.takes_bytes = 1 << 20
        if self.producer is not None:
            self.producer.resumeProducing()

    def write(self, data: bytes) -> None:
        self.written_bytes += len(data)
        self._write(data)

    def _write(self, data: bytes) -> None:
        assert not self.gone, "a write after the connection's end"
        super().write(data)


class Peer:
    """A load test connected to `users`: takes their calls and answers when told."""

    def __init__(self, users: RpcClient) -> None:
        self._users = users
        self._server = Server()
        self._waiting: deque[Call] = deque()
        self.methods: set[str] = set()
        self.wire = Wire()
        users.makeConnection(self.wire)

    @property
    def waiting(self) -> int:
        """How many calls came and were not answered."""
        self._take()
        return len(self._waiting)

    def replies(self, count: int = 1, error: str | None = None, last_first: bool = False) -> bytes:
        """Encode the replies to `count` calls, the oldest or the newest."""
        self._take()
        pop = self._waiting.pop if last_first else self._waiting.popleft
        return b"".join(self._server.reply(pop(), error) for _ in range(count))

    def answer(self, count: int = 1, error: str | None = None) -> None:
        """Answer `count` calls in one chunk."""
        self.send(self.replies(count, error))

    def send(self, data: bytes) -> None:
        """Send bytes; what comes after the connection's end gets nowhere."""
        if not self.wire.gone:
            self._users.dataReceived(data)

    def close(self) -> None:
        """End the connection, unless it has ended."""
        if not self.wire.gone:
            self.wire.gone = True
            self._users.connectionLost(Failure(ConnectionDone()))

    def _take(self) -> None:
        calls = self._server.receive(self.wire.value())
        self.wire.clear()
        self._waiting += calls
        self.methods |= {call.method for call in calls}
