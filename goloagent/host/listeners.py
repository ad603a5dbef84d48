"""Listens on every endpoint that was asked for, or on none."""

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
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.server import Site

from goloagent.host.startup_error import StartupError, reason

BACKLOG = 2048

_log = Logger()


def listen(reactor: Any, descriptions: Iterable[str], factory: Site) -> list[IListeningPort]:
    """Serve `factory` on each endpoint.

    Raises:
        StartupError: one of them is not to be had; nothing listens then.
    """
    ports: list[IListeningPort] = []
    for description in descriptions:
        try:
            port = _listen_now(serverFromString(reactor, description), factory)
        except Exception as error:
            for open_port in ports:
                open_port.stopListening()
            raise StartupError(f"--listen {description}: {_why(error)}") from None
        ports.append(port)
        _log.info("listens on {where}", where=where(description, port.getHost()))
    return ports


def where(description: str, address: object) -> str:
    """Return the page's URL at an address that is listened on, or the path of a Unix socket."""
    if isinstance(address, UNIXAddress):
        return f"the Unix socket {os.fsdecode(address.name or b'')}"
    assert isinstance(address, IPv4Address | IPv6Address)
    scheme = "https" if description.startswith("ssl:") else "http"
    host = f"[{address.host}]" if ":" in address.host else address.host
    if host in ("0.0.0.0", "[::]"):
        return f"all interfaces, port {address.port}: {scheme}://{gethostname()}:{address.port}/"
    return f"{scheme}://{host}:{address.port}/"


async def close(ports: list[IListeningPort]) -> None:
    """Take no further connection; a second time does nothing."""
    while ports:
        await maybeDeferred(ports.pop().stopListening)


def _why(error: Exception) -> str:
    """Return why an endpoint is not to be had, and what to do about it."""
    if isinstance(error, CannotListenError):
        if error.socketError.errno == errno.EADDRINUSE:
            return f"{reason(error)}; stop what listens there, or choose another address"
        return reason(error)
    if isinstance(error, TlsError | crypto.Error):
        return "its key or certificate is damaged, or they do not belong together"
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {reason(error)}"
    if isinstance(error, LookupError):
        return "systemd passes no such socket; enable the socket unit that has it"
    return reason(error)


def _listen_now(endpoint: IStreamServerEndpoint, factory: Site) -> IListeningPort:
    """Listen, with an endpoint that needs no time for it: all of Twisted's own are such."""
    outcome: list[IListeningPort | Failure] = []
    endpoint.listen(factory).addBoth(outcome.append)
    (port,) = outcome
    if isinstance(port, Failure):
        port.raiseException()
    # Twisted lets 50 connections wait; those that come beyond it wait a second for another try.
    cast(Any, port).socket.listen(BACKLOG)
    return port
