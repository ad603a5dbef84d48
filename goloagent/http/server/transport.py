"""Socket options and queues that the interfaces of Twisted's transports lack."""

from __future__ import annotations

import socket
import struct
from contextlib import suppress
from fcntl import ioctl
from termios import TIOCOUTQ
from typing import Any

from twisted.internet.abstract import FileDescriptor
from twisted.internet.interfaces import ISSLTransport

READ_BYTES = FileDescriptor.bufferSize
"""The maximum bytes of one read by Twisted, and of its write buffer before it pauses producers."""

# A dead peer of an idle connection is detected after two minutes.
_KEEPALIVE = {
    socket.TCP_KEEPIDLE: 60,
    socket.TCP_KEEPINTVL: 15,
    socket.TCP_KEEPCNT: 4,
}


def is_tls(transport: Any) -> bool:
    """Return whether a transport is encrypted and so cannot be closed for writing only."""
    return bool(ISSLTransport.providedBy(transport))


def unsent_bytes(transport: Any) -> int:
    """Return the number of written bytes that the peer's kernel has not acknowledged."""
    # A TLS transport delegates these attributes to the TCP transport.
    in_twisted = len(getattr(transport, "dataBuffer", b"")) - getattr(transport, "offset", 0)
    in_twisted += getattr(transport, "_tempDataLen", 0)
    in_kernel = 0
    connection = _socket(transport)
    if connection is not None:
        with suppress(OSError):
            [in_kernel] = struct.unpack("i", ioctl(connection.fileno(), TIOCOUTQ, bytes(4)))
    return in_twisted + in_kernel


def set_send_timeout(transport: Any, seconds: float) -> None:
    """Set the time after which the kernel aborts a TCP connection without acknowledgements.

    Twisted cannot detect a stall, because the kernel's buffers may take minutes of short lines.
    """
    connection = _tcp_socket(transport)
    if connection is not None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(seconds * 1000))


def enable_keepalive(transport: Any) -> None:
    """Enable TCP keep-alive, so that the kernel aborts an idle connection with a dead peer."""
    connection = _tcp_socket(transport)
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _KEEPALIVE.items():
            connection.setsockopt(socket.IPPROTO_TCP, option, value)


def _socket(transport: Any) -> socket.socket | None:
    connection: socket.socket | None = getattr(transport, "socket", None)
    return connection


def _tcp_socket(transport: Any) -> socket.socket | None:
    connection = _socket(transport)
    if connection is not None and connection.family in (socket.AF_INET, socket.AF_INET6):
        return connection
    return None
