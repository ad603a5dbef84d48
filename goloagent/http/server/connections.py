"""Which connections may be open: the bounds, the reserve beyond them, and who is closed for whom.

Pure decisions about values: a `Slot` stands for a connection. Within the bounds a connection may do
everything. At a bound, a new connection takes the place of one that has done nothing for a second:
the one that has been idle for longest, or else one whose headers come slowly, or else one that was
answered and is still being read. If there is none, the new one is taken into a reserve. With a
request that may be served it takes the place of one that is idle, for however long; if all are at
work, only a short request is served, one on each connection in the reserve. So a health check or a
cancel always gets in.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Callable, Iterable

import attrs

from goloagent.http.problem import Problem
from goloagent.http.server.limits import Limits

RETRY_AFTER_SECONDS = 10
# For so long a connection that does nothing is safe from those that have asked nothing yet.
MIN_INACTIVE_SECONDS = 1.0


class Phase(enum.Enum):
    """What a connection is doing."""

    HEADERS = enum.auto()
    BODY = enum.auto()
    RESPONSE = enum.auto()
    IDLE = enum.auto()
    CLOSING = enum.auto()


_EVICTION_ORDER = {Phase.IDLE: 0, Phase.HEADERS: 1, Phase.CLOSING: 2}


@attrs.define(eq=False)
class Slot:
    """One open connection of `peer`.

    `evict` closes it, with a sentence that says why. `over` is the sentence which bound it exceeds
    while it is in the reserve. `trusted` says that its client has shown the token, or came by a
    Unix socket.
    """

    peer: str
    evict: Callable[[str], None]
    phase_since: float
    phase: Phase = Phase.HEADERS
    exceeded: str | None = None
    trusted: bool = False


class Connections:
    """The open connections of all listeners, timed by `seconds`.

    The peer `""` is that of Unix sockets: it counts, and has no bound of its own.
    """

    def __init__(self, limits: Limits, seconds: Callable[[], float]) -> None:
        self._limits = limits
        self._seconds = seconds
        self._by_peer: Counter[str] = Counter()
        self._full: dict[Slot, None] = {}  # in the order in which they were opened
        self._reserve: dict[Slot, None] = {}

    def __len__(self) -> int:
        """Return how many connections are open."""
        return len(self._full) + len(self._reserve)

    def open(self, peer: str, evict: Callable[[str], None]) -> Slot | str:
        """Return the slot of a new connection, or the sentence why there is none.

        Evicts another connection if that makes room.
        """
        slot = Slot(peer, evict, self._seconds(), trusted=not peer)
        sentence = self._over(peer)
        if sentence is not None:
            victim = self._victim(peer)
            if victim is None:
                return self._open_in_reserve(slot, sentence)
            self._evict(victim, sentence)
        self._add(slot)
        return slot

    def enter(self, slot: Slot, phase: Phase) -> None:
        """Note what a connection does from now on."""
        slot.phase, slot.phase_since = phase, self._seconds()

    def promote(self, slot: Slot) -> None:
        """Take a connection with a request out of the reserve, if room can be made for it."""
        if slot not in self._reserve:
            return
        sentence = self._over(slot.peer)
        if sentence is not None:
            victim = self._victim(slot.peer) or self._idlest(slot.peer)
            if victim is None:
                return
            self._evict(victim, sentence)
        del self._reserve[slot]
        slot.exceeded = None
        self._add(slot)

    def close(self, slot: Slot) -> None:
        """Count a connection no more; a second time does nothing."""
        if slot in self._full:
            del self._full[slot]
            self._by_peer[slot.peer] -= 1
            if not self._by_peer[slot.peer]:
                del self._by_peer[slot.peer]
        self._reserve.pop(slot, None)

    def _add(self, slot: Slot) -> None:
        self._full[slot] = None
        self._by_peer[slot.peer] += 1

    def _over(self, peer: str) -> str | None:
        """Return the sentence which bound a further connection of `peer` would exceed."""
        limits = self._limits
        if self._peer_is_full(peer):
            return f"{limits.connections_per_peer} connections of {peer} are open already"
        if len(self._full) >= limits.connections:
            return f"{limits.connections} connections are open already"
        return None

    def _peer_is_full(self, peer: str) -> bool:
        return bool(peer) and self._by_peer[peer] >= self._limits.connections_per_peer

    def _candidates(self, peer: str) -> Iterable[Slot]:
        """Return the connections among which one must close before `peer` may have another."""
        if self._peer_is_full(peer):
            return [slot for slot in self._full if slot.peer == peer]
        return self._full

    def _victim(self, peer: str) -> Slot | None:
        """Return the connection that has done nothing for a second and is to close first."""
        latest = self._seconds() - MIN_INACTIVE_SECONDS
        waiting = (slot for slot in self._candidates(peer) if slot.phase_since <= latest)
        order = (slot for slot in waiting if slot.phase in _EVICTION_ORDER)
        return min(
            order,
            key=lambda slot: (slot.trusted, _EVICTION_ORDER[slot.phase], slot.phase_since),
            default=None,
        )

    def _idlest(self, peer: str) -> Slot | None:
        """Return the connection that has been idle for longest, if one is idle at all."""
        idle = (slot for slot in self._candidates(peer) if slot.phase is Phase.IDLE)
        return min(idle, key=lambda slot: (slot.trusted, slot.phase_since), default=None)

    def _open_in_reserve(self, slot: Slot, sentence: str) -> Slot | str:
        slot.exceeded = sentence
        if len(self._reserve) >= self._limits.reserve:
            victim = next((held for held in self._reserve if not _is_at_work(held)), None)
            if victim is None:
                return sentence
            self._evict(victim, sentence)
        self._reserve[slot] = None
        return slot

    def _evict(self, slot: Slot, sentence: str) -> None:
        self.close(slot)
        slot.evict(sentence)


def _is_at_work(slot: Slot) -> bool:
    """Tell whether a connection in the reserve serves a request that must not be cut."""
    return slot.trusted and slot.phase in (Phase.BODY, Phase.RESPONSE)


def too_many_connections(sentence: str) -> Problem:
    """Return the refusal of a connection, or of a long request on it, that is one too many."""
    return Problem(503, sentence, {"Retry-After": str(RETRY_AFTER_SECONDS)})
