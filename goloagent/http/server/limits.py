"""What a client may cost: how many connections, and how long each part of a request may take.

Values and decisions alone: which body comes too slowly, and how long a refused one is discarded.
Does not know sockets, timers or HTTP.
"""

from __future__ import annotations

import attrs

from goloagent.core.descriptor_budget import MIN_RESERVE


@attrs.frozen
class Limits:
    """The bounds of one agent, for all that it listens on together.

    Deadlines are absolute: no byte moves them. Answers have none, as a stream may go on for days.
    """

    connections: int = 256
    connections_per_peer: int = 32
    reserve: int = MIN_RESERVE
    header_seconds: float = 10
    idle_seconds: float = 60
    body_seconds: float = 15 * 60
    body_bytes_per_second: int = 10 * 1024
    rate_check_seconds: float = 10
    close_seconds: float = 60
    # In the reserve, beyond the bounds of connections.
    reserve_header_seconds: float = 2
    # After an early answer, what the client still sends is discarded for so long, while it comes.
    discard_seconds: float = 60
    discard_quiet_seconds: float = 5
    discard_bytes: int = 1024 * 1024 * 1024


class UploadRate:
    """How fast one body comes, looked at every `pace_seconds`."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._seconds: float = 0
        self._bytes = 0

    def check(self, total_bytes: int, was_paused: bool = False) -> str | None:
        """Return the sentence why the body comes too slowly, so many bytes of it being here.

        While it was `held_up`, not read for a time, its client may have sent as fast as could be.
        """
        limits, came = self._limits, total_bytes - self._bytes
        self._seconds += limits.rate_check_seconds
        self._bytes = total_bytes
        if not was_paused and came < limits.body_bytes_per_second * limits.rate_check_seconds:
            return f"the request body comes slower than {limits.body_bytes_per_second} bytes/s"
        if self._seconds >= limits.body_seconds:
            return f"the request body is not complete within {limits.body_seconds:g} s"
        return None


class Discard:
    """How long what a client still sends behind an early answer is read, and thrown away.

    Closing while it sends would reset the connection, and the answer would be lost with it. So all
    that was announced is read, at least `discard_bytes`, as long as it keeps coming and for
    `discard_seconds` at most.

    Args:
        announced_bytes: what is still to come of the request's body; None if its length is unknown.
    """

    def __init__(self, limits: Limits, announced_bytes: int | None) -> None:
        self._limits = limits
        self._announced = announced_bytes
        self._bound = max(limits.discard_bytes, announced_bytes or 0)
        self._seconds: float = 0
        self._bytes = 0
        self._came = False

    def add(self, count: int) -> bool:
        """Count bytes; return whether more may come."""
        self._bytes += count
        self._came = self._came or count > 0
        return self._bytes <= self._bound

    @property
    def complete(self) -> bool:
        """Whether all that was announced has come."""
        return self._announced is not None and self._bytes >= self._announced

    def may_continue(self) -> bool:
        """Return whether to go on, asked every `discard_quiet_seconds`."""
        self._seconds += self._limits.discard_quiet_seconds
        came, self._came = self._came, False
        return came and self._seconds < self._limits.discard_seconds
