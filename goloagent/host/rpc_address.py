"""Checks that a load test can listen where ``--rpc`` says: at an address of this host."""

from __future__ import annotations

import socket

from goloagent.host.startup_error import StartupError, reason


def check_rpc_host(host: str) -> None:
    """Resolve a host and bind to one of its addresses, at a port of the system's choice.

    A name that cannot be resolved for the time being passes: it is looked up again before each run.

    Raises:
        StartupError: it has no address that this host has.
    """
    try:
        found = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)
    except OSError as error:
        if error.errno == socket.EAI_AGAIN:
            return
        raise StartupError(f"--rpc: {host} cannot be resolved: {reason(error)}") from None
    for family, kind, protocol, _, address in found:
        try:
            with socket.socket(family, kind, protocol) as trial:
                trial.bind(address)
        except OSError:
            continue
        return
    raise StartupError(
        f"--rpc: {host} is not an address of this host, where load tests listen;"
        " use 127.0.0.1 or [::1]"
    )
