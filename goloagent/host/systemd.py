"""Reports the agent's state to systemd by ``sd_notify(3)``.

Each report is a datagram of ``NAME=value`` lines to the socket in ``NOTIFY_SOCKET``, if any.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping

import attrs

HEARTBEAT_SECONDS = 10.0  # without a watchdog
# One or two lines of a terminal.
_MAX_STATUS_CHARACTERS = 240

Send = Callable[[bytes], None]


@attrs.frozen
class SystemdNotifier:
    """Reports with `send`; `watchdog_seconds` is the interval of `watchdog`, or None."""

    send: Send
    watchdog_seconds: float | None = None

    def ready(self) -> None:
        """Report that the agent accepts jobs."""
        self.send(b"READY=1\nSTATUS=ready")

    def status(self, text: str) -> None:
        """Set the line that ``systemctl status`` shows."""
        line = " ".join(text.split())[:_MAX_STATUS_CHARACTERS]
        self.send(b"STATUS=" + line.encode(errors="replace"))

    def stopping(self) -> None:
        """Report that the agent stops."""
        self.send(b"STOPPING=1\nSTATUS=stopping")

    def watchdog(self) -> None:
        """Report that the reactor works."""
        self.send(b"WATCHDOG=1")

    def starting(self, seconds: float) -> None:
        """Extend the start's timeout to `seconds` from now."""
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
                # If the manager does not listen, its watchdog acts.
                return

    return send
