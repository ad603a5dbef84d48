"""The open model: iterations start when they are due, however long the others take.

Decides only; `now` and all times are nanoseconds from the start of the load.
"""

from __future__ import annotations

from goloagent.core.profile.arrivals import Arrivals
from goloagent.core.profile.load_profile import LoadProfile


class ArrivalRate:
    """Decides which iterations of a profile start.

    Each arrival is started or dropped exactly once: `scheduled` is their sum at every moment. One
    that waits for another to return is counted when that is decided, at the end at the latest.

    Attributes:
        started: iterations that were started, perhaps after they were due.
        dropped: iterations that were due while `max_in_flight` were in flight, and those that
            still waited at the end.
        waited: whether one was due and had to wait; reset by its reader.
    """

    def __init__(self, profile: LoadProfile) -> None:
        self._limit = profile.max_in_flight
        self._drops = profile.when_full == "drop"
        self._arrivals: Arrivals | None = profile.arrivals_from()
        # The end of those that wait, and their number; a backlog of any length is counted while it
        # grows, and never at once.
        self._backlog: Arrivals | None = None
        self._waiting = 0
        self.started = 0
        self.dropped = 0
        self.waited = False

    @property
    def scheduled(self) -> int:
        """The arrivals that were decided."""
        return self.started + self.dropped

    @property
    def next_at(self) -> int | None:
        """When the next arrival is due, in the past if it waits; None if there is none."""
        return None if self._arrivals is None else self._arrivals.next_at

    def due(self, now: int, in_flight: int) -> list[int]:
        """Decide the arrivals due until now; return when each one that starts was due."""
        starts: list[int] = []
        arrivals = self._arrivals
        if arrivals is None:
            return starts
        room = self._limit - in_flight
        while (at := arrivals.next_at) is not None and at <= now and len(starts) < room:
            starts.append(at)
            arrivals.advance()
        self.started += len(starts)
        if at is None or at > now:
            self._backlog = None
        elif self._drops:
            self.dropped += arrivals.skip(now)
        else:
            self.waited = True
            self._count_waiting(now, len(starts))
        return starts

    def replace(self, profile: LoadProfile, now: int) -> None:
        """Follow another profile after now; arrivals that wait are dropped."""
        self.end(now)
        self._limit = profile.max_in_flight
        self._drops = profile.when_full == "drop"
        self._arrivals = profile.arrivals_from(now + 1)

    def end(self, now: int) -> None:
        """Drop the arrivals that are due and wait; schedule none after now."""
        if self._arrivals is not None:
            self._count_waiting(now, 0)
            self.dropped += self._waiting
        self._arrivals = self._backlog = None

    def _count_waiting(self, now: int, started: int) -> None:
        """Count the arrivals that are due, after some of them were started."""
        if self._backlog is None and self._arrivals is not None:
            self._backlog, self._waiting, started = self._arrivals.copy(), 0, 0
        if self._backlog is not None:
            self._waiting += self._backlog.skip(now) - started
