"""Checks that ``--rpc`` is an address of this host, where load tests can listen."""

from __future__ import annotations

import socket

from goloagent.host.startup_error import StartupError, reason


def check_rpc_host(host: str) -> None:
    """Resolve a host and bind to one of its addresses, at any port.

    A name that cannot be resolved temporarily is accepted: each run resolves it again.

    Raises:
        StartupError: none of its addresses is this host's.
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
