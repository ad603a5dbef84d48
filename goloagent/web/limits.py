"""What a client may cost: how many connections, and how long each part of a request may take.

Values and decisions alone: who is one too many, and which body comes too slowly. Does not know
sockets, timers or HTTP.
"""

from __future__ import annotations

from collections import Counter

import attrs


@attrs.frozen
class Limits:
    """The bounds of one agent, for all that it listens on together.

    Deadlines are absolute: no byte moves them. Answers have none, as a stream may go on for days.
    """

    connections: int = 256
    connections_per_peer: int = 32
    header_seconds: float = 10
    idle_seconds: float = 60
    body_seconds: float = 15 * 60
    body_bytes_per_second: int = 10 * 1024
    pace_seconds: float = 10
    close_seconds: float = 60


class Connections:
    """Counts the connections that are open, of all peers and of each.

    `refused` are those that were one too many and are still being told so.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._by_peer: Counter[str] = Counter()
        self.refused = 0

    def open(self, peer: str) -> str | None:
        """Count a connection of `peer`; or return the sentence why it is one too many.

        The peer `""` is that of Unix sockets: it counts, and has no bound of its own.
        """
        if self._by_peer.total() >= self._limits.connections:
            return f"{self._limits.connections} connections are open already"
        if peer and self._by_peer[peer] >= self._limits.connections_per_peer:
            return f"{self._limits.connections_per_peer} connections of {peer} are open already"
        self._by_peer[peer] += 1
        return None

    def close(self, peer: str) -> None:
        """Count a connection no more."""
        self._by_peer[peer] -= 1
        if not self._by_peer[peer]:
            del self._by_peer[peer]


class Pace:
    """How fast one body comes, looked at every `pace_seconds`."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._seconds: float = 0
        self._bytes = 0

    def look(self, total_bytes: int, held_up: bool = False) -> str | None:
        """Return the sentence why the body comes too slowly, so many bytes of it being here.

        While it was `held_up`, not read for a time, its client may have sent as fast as could be.
        """
        limits, came = self._limits, total_bytes - self._bytes
        self._seconds += limits.pace_seconds
        self._bytes = total_bytes
        if not held_up and came < limits.body_bytes_per_second * limits.pace_seconds:
            return f"the request body comes slower than {limits.body_bytes_per_second} bytes/s"
        if self._seconds >= limits.body_seconds:
            return f"the request body is not complete within {limits.body_seconds:g} s"
        return None
