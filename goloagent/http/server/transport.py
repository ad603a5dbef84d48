"""The kernel's side of a socket, which the interfaces of Twisted's transports leave out."""

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
"""How much Twisted reads of a socket at once, and lets wait in its own buffer."""

# An idle connection whose other end has gone is noticed after two minutes.
_KEEPALIVE = {
    socket.TCP_KEEPIDLE: 60,
    socket.TCP_KEEPINTVL: 15,
    socket.TCP_KEEPCNT: 4,
}


def is_tls(transport: Any) -> bool:
    """Tell whether a transport is encrypted, and so cannot be closed in one direction alone."""
    return bool(ISSLTransport.providedBy(transport))


def unsent_bytes(transport: Any) -> int:
    """Return how many bytes written to a transport its peer's kernel has not acknowledged."""
    # A TLS transport passes these on to the one below.
    in_twisted = len(getattr(transport, "dataBuffer", b"")) - getattr(transport, "offset", 0)
    in_twisted += getattr(transport, "_tempDataLen", 0)
    in_kernel = 0
    connection = _socket(transport)
    if connection is not None:
        with suppress(OSError):
            [in_kernel] = struct.unpack("i", ioctl(connection.fileno(), TIOCOUTQ, bytes(4)))
    return in_twisted + in_kernel


def set_send_timeout(transport: Any, seconds: float) -> None:
    """Have the kernel end a TCP connection if what is sent is not acknowledged for so long.

    Only the kernel can: its own buffers hold minutes of what is sent a line at a time.
    """
    connection = _tcp_socket(transport)
    if connection is not None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(seconds * 1000))


def enable_keepalive(transport: Any) -> None:
    """Have the kernel end a TCP connection on which nothing is sent, if its peer has gone."""
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
