"""The limits of open connections, the reserve beyond them, and evictions.

A connection within the limits may send any request. At a limit, a new connection evicts one that
has been inactive for a second: the one idle for longest, else one whose headers arrive slowly, else
one that is closing. Without one, the new connection enters the reserve. Once its request is
authorized, it evicts an idle connection; if all are active, it serves one short request. So a
health check or a cancel is always served.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Callable, Iterable

import attrs

from goloagent.http.problem import Problem
from goloagent.http.server.limits import Limits

RETRY_AFTER_SECONDS = 10
# A connection inactive for less is not evicted by one that has not sent a request yet.
MIN_INACTIVE_SECONDS = 1.0


class Phase(enum.Enum):
    """The phase of a connection."""

    HEADERS = enum.auto()
    BODY = enum.auto()
    RESPONSE = enum.auto()
    IDLE = enum.auto()
    CLOSING = enum.auto()


_EVICTION_ORDER = {Phase.IDLE: 0, Phase.HEADERS: 1, Phase.CLOSING: 2}


@attrs.define(eq=False)
class Slot:
    """One open connection of `peer`.

    Attributes:
        evict: closes it for a reason, given as a sentence.
        exceeded: the limit that it exceeds, as a sentence, while it is in the reserve.
        trusted: whether its client has shown the token, or uses a Unix socket.
    """

    peer: str
    evict: Callable[[str], None]
    phase_since: float
    phase: Phase = Phase.HEADERS
    exceeded: str | None = None
    trusted: bool = False


class Connections:
    """The open connections of all listeners, timed by `seconds`.

    The peer `""` stands for all Unix sockets and has no limit of its own.
    """

    def __init__(self, limits: Limits, seconds: Callable[[], float]) -> None:
        self._limits = limits
        self._seconds = seconds
        self._by_peer: Counter[str] = Counter()
        self._regular: dict[Slot, None] = {}  # in the order in which they were opened
        self._reserve: dict[Slot, None] = {}

    def __len__(self) -> int:
        """Return how many connections are open."""
        return len(self._regular) + len(self._reserve)

    def open(self, peer: str, evict: Callable[[str], None]) -> Slot | str:
        """Return the slot of a new connection, or the reason for a refusal as a reason.

        It may evict another connection.
        """
        slot = Slot(peer, evict, self._seconds(), trusted=not peer)
        reason = self._exceeded_limit(peer)
        if reason is not None:
            victim = self._inactive(peer)
            if victim is None:
                return self._open_in_reserve(slot, reason)
            self._evict(victim, reason)
        self._add(slot)
        return slot

    def enter(self, slot: Slot, phase: Phase) -> None:
        """Begin a phase of a connection."""
        slot.phase, slot.phase_since = phase, self._seconds()

    def promote(self, slot: Slot) -> None:
        """Move a connection with a request out of the reserve, if another one can be evicted."""
        if slot not in self._reserve:
            return
        reason = self._exceeded_limit(slot.peer)
        if reason is not None:
            victim = self._inactive(slot.peer) or self._idlest(slot.peer)
            if victim is None:
                return
            self._evict(victim, reason)
        del self._reserve[slot]
        slot.exceeded = None
        self._add(slot)

    def close(self, slot: Slot) -> None:
        """Remove a connection; a second time does nothing."""
        if slot in self._regular:
            del self._regular[slot]
            self._by_peer[slot.peer] -= 1
            if not self._by_peer[slot.peer]:
                del self._by_peer[slot.peer]
        self._reserve.pop(slot, None)

    def _add(self, slot: Slot) -> None:
        self._regular[slot] = None
        self._by_peer[slot.peer] += 1

    def _exceeded_limit(self, peer: str) -> str | None:
        """Return the limit that another connection of `peer` would exceed, as a reason."""
        limits = self._limits
        if self._peer_is_full(peer):
            return f"{limits.connections_per_peer} connections of {peer} are open already"
        if len(self._regular) >= limits.connections:
            return f"{limits.connections} connections are open already"
        return None

    def _peer_is_full(self, peer: str) -> bool:
        return bool(peer) and self._by_peer[peer] >= self._limits.connections_per_peer

    def _candidates(self, peer: str) -> Iterable[Slot]:
        """Return the connections of which one must close for another one of `peer`."""
        if self._peer_is_full(peer):
            return [slot for slot in self._regular if slot.peer == peer]
        return self._regular

    def _inactive(self, peer: str) -> Slot | None:
        """Return the first connection to evict of those that have been inactive for a second."""
        latest = self._seconds() - MIN_INACTIVE_SECONDS
        waiting = (slot for slot in self._candidates(peer) if slot.phase_since <= latest)
        order = (slot for slot in waiting if slot.phase in _EVICTION_ORDER)
        return min(
            order,
            key=lambda slot: (slot.trusted, _EVICTION_ORDER[slot.phase], slot.phase_since),
            default=None,
        )

    def _idlest(self, peer: str) -> Slot | None:
        """Return the connection that has been idle for longest, if any."""
        idle = (slot for slot in self._candidates(peer) if slot.phase is Phase.IDLE)
        return min(idle, key=lambda slot: (slot.trusted, slot.phase_since), default=None)

    def _open_in_reserve(self, slot: Slot, reason: str) -> Slot | str:
        slot.exceeded = reason
        if len(self._reserve) >= self._limits.reserve:
            victim = next((held for held in self._reserve if not _is_active(held)), None)
            if victim is None:
                return reason
            self._evict(victim, reason)
        self._reserve[slot] = None
        return slot

    def _evict(self, slot: Slot, reason: str) -> None:
        self.close(slot)
        slot.evict(reason)


def _is_active(slot: Slot) -> bool:
    """Return whether a connection in the reserve serves a trusted request."""
    return slot.trusted and slot.phase in (Phase.BODY, Phase.RESPONSE)


def too_many_connections(reason: str) -> Problem:
    """Return the refusal of a connection, or of a long request on it, beyond the limits."""
    return Problem(503, reason, {"Retry-After": str(RETRY_AFTER_SECONDS)})
