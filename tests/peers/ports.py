"""Free ports, for peers that need a number before they listen."""

from __future__ import annotations

import random
import socket
from pathlib import Path

_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_port() -> int:
    """Return a port of 127.0.0.1 that nothing listens on.

    It lies below the range from which the kernel serves outgoing connections: one of those, made by
    a load test at full speed, could otherwise take it before its owner listens.
    """
    end = int(_EPHEMERAL.read_text().split()[0])
    while True:
        port = random.randrange(10_000, end)
        with socket.socket() as trial:
            try:
                trial.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
