"""Free ports for processes that need a number before they listen, and connections to them."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import time
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")


def _candidates() -> Iterator[int]:
    """Yield ports that no other test process uses, in a cycle.

    They are below the range of outgoing connections, one of which could otherwise take a port
    before its process listens.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    ports = range(10_000 + worker, int(_EPHEMERAL.read_text().split()[0]), workers)
    return cycle(random.sample(ports, len(ports)))


_PORTS = _candidates()


def free_port() -> int:
    """Return a port of 127.0.0.1 on which nothing listens, and that was not returned recently."""
    for port in _PORTS:
        with socket.socket() as trial:
            try:
                trial.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise AssertionError("the ports have no end")


def connect(port: int, process: subprocess.Popen[Any], timeout_seconds: float) -> socket.socket:
    """Connect to a process that is about to listen on 127.0.0.1, as long as it runs."""
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout_seconds)
        except ConnectionRefusedError:
            assert process.poll() is None, process.communicate()
            # Without a pause the attempts take the CPU that the process needs.
            time.sleep(0.01)
