"""The limits of connections and requests: their number, deadlines, upload rates and discards."""

from __future__ import annotations

import attrs

from goloagent.core.descriptor_budget import MIN_RESERVE


@attrs.frozen
class Limits:
    """The limits of all listeners together.

    Deadlines are absolute; received bytes do not extend them. A response has none, because a stream
    may last for days.
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
    # Of connections in the reserve.
    reserve_header_seconds: float = 2
    # After an early response: the maximum time, pause and length of the discarded rest.
    discard_seconds: float = 60
    discard_quiet_seconds: float = 5
    discard_bytes: int = 1024 * 1024 * 1024


class UploadRate:
    """The rate of one body, checked every `rate_check_seconds`."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._seconds: float = 0
        self._bytes = 0

    def check(self, total_bytes: int, was_paused: bool = False) -> str | None:
        """Return the limit that the body violates, as a sentence, or None.

        Args:
            total_bytes: the number of received bytes.
            was_paused: whether the agent paused reading, which excuses a low rate.
        """
        limits, received = self._limits, total_bytes - self._bytes
        self._seconds += limits.rate_check_seconds
        self._bytes = total_bytes
        if not was_paused and received < limits.body_bytes_per_second * limits.rate_check_seconds:
            return f"the request body comes slower than {limits.body_bytes_per_second} bytes/s"
        if self._seconds >= limits.body_seconds:
            return f"the request body is not complete within {limits.body_seconds:g} s"
        return None


class Discard:
    """The bytes that are discarded after an early response.

    At most the announced length or `discard_bytes`, whichever is more, within `discard_seconds`.

    Args:
        announced_bytes: the rest of the request's body; None if its length is unknown.
    """

    def __init__(self, limits: Limits, announced_bytes: int | None) -> None:
        self._limits = limits
        self._announced = announced_bytes
        self._max_bytes = max(limits.discard_bytes, announced_bytes or 0)
        self._seconds: float = 0
        self._bytes = 0
        self._has_received = False

    def add(self, count: int) -> bool:
        """Count received bytes; return False beyond the maximum."""
        self._bytes += count
        self._has_received = self._has_received or count > 0
        return self._bytes <= self._max_bytes

    @property
    def complete(self) -> bool:
        """Whether the announced length was received."""
        return self._announced is not None and self._bytes >= self._announced

    def may_continue(self) -> bool:
        """Return whether to continue; to be called every `discard_quiet_seconds`."""
        self._seconds += self._limits.discard_quiet_seconds
        has_received, self._has_received = self._has_received, False
        return has_received and self._seconds < self._limits.discard_seconds
