"""The RPC client of one load test: its connection and the calls on it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from typing import Any, cast
from typing import Protocol as Interface

from twisted.internet.interfaces import (
    IConsumer,
    IPullProducer,
    IPushProducer,
    ISystemHandle,
    ITCPTransport,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from goloagent.netrpc import Client, ProtocolError, Replies
from goloagent.sandbox import peer_check

METHOD = "Server.Run"
_READ_BYTES = 64 * 1024


class Codec(Interface):
    """Encodes calls and matches replies to them: `Client` or `JsonClient`."""

    @property
    def in_flight(self) -> int:
        """The number of calls without a reply."""

    def calls(self, method: str, count: int, stamps: Sequence[Any]) -> bytes:
        """Encode calls, with a stamp for each that its reply has too."""

    def receive(self, data: bytes) -> Replies:
        """Decode a chunk. Raises ProtocolError."""


@implementer(IPullProducer)
class _BufferEmptied:
    """Calls a function when the transport has sent everything that it buffered."""

    def __init__(self, emptied: Callable[[], None]) -> None:
        self._emptied = emptied
        self._is_registered = False

    def resumeProducing(self) -> None:
        if self._is_registered:
            self._emptied()
        self._is_registered = True

    def stopProducing(self) -> None:
        """Do nothing: `connectionLost` of the protocol follows."""


class RpcClient(Protocol):
    """Makes calls on one connection and reports their replies.

    Args:
        lost: called once when the peer closes the connection, with None, or breaks the protocol,
            with a sentence.
    """

    transport: ITCPTransport
    _socket: socket.socket

    def __init__(self, lost: Callable[[str | None], None], codec: Codec | None = None) -> None:
        self.returned: Callable[[Replies, int], None] = lambda replies, in_flight: None
        """Called with every chunk of replies, and the number of calls that are still in flight."""
        self._lost = lost
        self._codec: Codec = codec or Client()
        self._is_over = False
        self._is_buffering = False
        self._is_reading = False
        self.is_self_connection = False

    def connectionMade(self) -> None:
        """Disable Nagle's algorithm and reading until `open`; drop a connection to itself."""
        self.is_self_connection = is_self_connection(self.transport)
        if self.is_self_connection:
            self.transport.abortConnection()
        else:
            self._socket = cast(socket.socket, cast(ISystemHandle, self.transport).getHandle())
            self.transport.setTcpNoDelay(True)
            cast(IPushProducer, self.transport).pauseProducing()

    @property
    def ends(self) -> tuple[peer_check.Endpoint, peer_check.Endpoint]:
        """The local and the remote end of the connection."""
        local, remote = self.transport.getHost(), self.transport.getPeer()
        return peer_check.endpoint(local.host, local.port), peer_check.endpoint(
            remote.host, remote.port
        )

    @property
    def in_flight(self) -> int:
        """The number of calls without a reply."""
        return self._codec.in_flight

    def open(self) -> None:
        """Read replies when they come, from now on."""
        if not self._is_reading:
            self._is_reading = True
            cast(IPushProducer, self.transport).resumeProducing()

    def poll(self) -> None:
        """Read the replies that have come, and no others until the next call or `open`."""
        if self._is_reading:
            self._is_reading = False
            cast(IPushProducer, self.transport).pauseProducing()
        try:
            data = self._socket.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self.dataReceived(data)
        else:
            self.open()  # the transport finds the end too, and calls `connectionLost`

    def call(self, stamps: Sequence[Any]) -> None:
        """Make a call for each stamp, which its reply has too."""
        self._send(self._codec.calls(METHOD, len(stamps), stamps))

    def hang_up(self) -> None:
        """Close the connection, if there is one; report nothing from now on."""
        self._is_over = True
        if not self.connected:
            return
        if self._is_buffering:
            # A transport with a producer does not close.
            self._stop_buffering()
        if self._codec.in_flight:
            self.transport.abortConnection()
        else:
            # An orderly close: the load test may still run, and must not see a reset.
            self.transport.loseConnection()

    def dataReceived(self, data: bytes) -> None:
        """Report the replies."""
        if self._is_over:
            return
        try:
            replies = self._codec.receive(data)
        except ProtocolError as error:
            self._is_over = True
            self.transport.abortConnection()
            self._lost(str(error))
            return
        self.returned(replies, self._codec.in_flight)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Report that the peer closed the connection."""
        if not self._is_over and not self.is_self_connection:
            self._is_over = True
            self._lost(None)

    def _send(self, data: bytes) -> None:
        """Write to the socket at once, and to the transport what the socket does not accept.

        `transport.write` alone would wait for the next turn of the reactor, which costs a third of
        the time of a call when users are few. While the transport buffers, it gets everything, so
        that calls stay in order.
        """
        if not self._is_buffering:
            try:
                sent = self._socket.send(data)
            except OSError:
                sent = 0  # full, or disconnected: then the transport calls `connectionLost`
            data = data[sent:]
            if data:
                self._is_buffering = True
                # The transport calls a pull producer at once, and when its buffer is empty.
                consumer = cast(IConsumer, self.transport)
                consumer.registerProducer(_BufferEmptied(self._stop_buffering), streaming=False)
        if data:
            self.transport.write(data)

    def _stop_buffering(self) -> None:
        self._is_buffering = False
        cast(IConsumer, self.transport).unregisterProducer()


def is_self_connection(transport: ITCPTransport) -> bool:
    """Return whether TCP has connected a socket to itself.

    It happens without a listener if the system chooses the port for the client's end.
    """
    return bool(transport.getHost() == transport.getPeer())
