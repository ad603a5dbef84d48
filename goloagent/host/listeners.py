"""Listens on all endpoints of ``--listen``, or on none."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from socket import gethostname
from typing import Any, cast

from OpenSSL import crypto
from OpenSSL.SSL import Error as TlsError
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import maybeDeferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IStreamServerEndpoint
from twisted.python.failure import Failure
from twisted.python.log import callWithContext
from twisted.web.server import Site

from goloagent.host.startup_error import StartupError, reason

BACKLOG = 2048


def listen(reactor: Any, descriptions: Iterable[str], factory: Site) -> list[IListeningPort]:
    """Serve `factory` on each endpoint.

    Raises:
        StartupError: one of them is unavailable; no port is open then.
    """
    ports: list[IListeningPort] = []
    for description in descriptions:
        try:
            ports.append(_listen_now(serverFromString(reactor, description), factory))
        except Exception as error:
            for open_port in ports:
                open_port.stopListening()
            raise StartupError(f"--listen {description}: {_why(error)}") from None
    return ports


def url_of(description: str, address: object) -> str:
    """Return the URL of the page at an address, or the path of a Unix socket."""
    if isinstance(address, UNIXAddress):
        return f"the Unix socket {os.fsdecode(address.name or b'')}"
    assert isinstance(address, IPv4Address | IPv6Address)
    scheme = "https" if description.startswith("ssl:") else "http"
    host = f"[{address.host}]" if ":" in address.host else address.host
    if host in ("0.0.0.0", "[::]"):
        return f"all interfaces, port {address.port}: {scheme}://{gethostname()}:{address.port}/"
    return f"{scheme}://{host}:{address.port}/"


async def close(ports: list[IListeningPort]) -> None:
    """Stop listening; a second call does nothing."""
    while ports:
        await maybeDeferred(ports.pop().stopListening)


def _why(error: Exception) -> str:
    """Return why an endpoint is unavailable, and what to do."""
    if isinstance(error, CannotListenError):
        if error.socketError.errno == errno.EADDRINUSE:
            return f"{reason(error)}; stop the other process or choose another --listen"
        return reason(error)
    if isinstance(error, TlsError | crypto.Error):
        return "its key or certificate is damaged, or they do not belong together"
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {reason(error)}"
    if isinstance(error, LookupError):
        return "systemd passes no such socket; enable the socket unit that has it"
    return reason(error)


def _listen_now(endpoint: IStreamServerEndpoint, factory: Site) -> IListeningPort:
    """Listen on an endpoint that does so at once, as all of Twisted's do."""
    outcome: list[IListeningPort | Failure] = []
    # An empty format drops Twisted's own line, which names the factory.
    callWithContext({"log_format": ""}, endpoint.listen, factory).addBoth(outcome.append)
    (port,) = outcome
    if isinstance(port, Failure):
        port.raiseException()
    # Twisted's backlog is 50; connections beyond it are retried after a second.
    cast(Any, port).socket.listen(BACKLOG)
    return port
