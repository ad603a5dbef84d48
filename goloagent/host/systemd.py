"""Tells the service manager how the agent fares, by the protocol of ``sd_notify(3)``.

A datagram of ``NAME=value`` lines to the socket that ``NOTIFY_SOCKET`` names. Without one nothing
is told. Knows nothing of what is told.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping

import attrs

HEARTBEAT_SECONDS = 10.0  # without a watchdog
# One line of a terminal or two.
_MAX_STATUS_CHARACTERS = 240

Send = Callable[[bytes], None]


@attrs.frozen
class SystemdNotifier:
    """Tells by `send`; `watchdog_seconds` is how often it must be told that the agent lives."""

    send: Send
    watchdog_seconds: float | None = None

    def ready(self) -> None:
        """The agent takes jobs."""
        self.send(b"READY=1\nSTATUS=ready")

    def status(self, text: str) -> None:
        """How the agent fares, in one line that `systemctl status` shows."""
        line = " ".join(text.split())[:_MAX_STATUS_CHARACTERS]
        self.send(b"STATUS=" + line.encode(errors="replace"))

    def stopping(self) -> None:
        """The agent is on its way to the end."""
        self.send(b"STOPPING=1\nSTATUS=stopping")

    def watchdog(self) -> None:
        """The reactor turns."""
        self.send(b"WATCHDOG=1")

    def starting(self, seconds: float) -> None:
        """The start takes up to so long from now."""
        self.send(b"EXTEND_TIMEOUT_USEC=%d\nSTATUS=starting" % (seconds * 1e6))


def notifier(environment: Mapping[str, str], pid: int) -> SystemdNotifier:
    """Return the notifier that the service manager of process `pid` asks for."""
    address = environment.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return SystemdNotifier(lambda _: None)
    watched = environment.get("WATCHDOG_PID", str(pid)) == str(pid)
    usec = environment.get("WATCHDOG_USEC", "")
    # Twice within the time, as sd_watchdog_enabled(3) recommends.
    interval = int(usec) / 2e6 if watched and usec.isdigit() and int(usec) else None
    return SystemdNotifier(_to(f"\0{address[1:]}" if address[0] == "@" else address), interval)


def _to(address: str) -> Send:
    def send(lines: bytes) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.setblocking(False)
            try:
                sender.sendto(lines, os.fsencode(address))
            except OSError:
                # A manager that does not listen must not hurt the agent; its watchdog will.
                return

    return send
