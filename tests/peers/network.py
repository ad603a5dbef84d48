"""A network namespace for a test and the processes that it starts."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


@contextmanager
def namespace(first_port: int, last_port: int) -> Iterator[None]:
    """Enter a new network namespace, whose connections have these local ports.

    It applies to this thread: to the sockets and processes that it creates.

    Raises:
        OSError: it is not allowed, or the system has none.
    """
    outside = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _check(_libc.unshare(CLONE_NEWNET))
        try:
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
            ports = Path("/proc/sys/net/ipv4/ip_local_port_range")
            ports.write_text(f"{first_port} {last_port}\n")
            yield
        finally:
            _check(_libc.setns(outside, CLONE_NEWNET))
    finally:
        os.close(outside)


def _check(result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
