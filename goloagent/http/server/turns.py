"""What clients can have done for nothing takes turns: one of it in each turn of the reactor.

Twisted answers all requests that have come with one read before it does anything else, and reads
from all connections in each turn; clients that pipeline thousands of requests, or send bodies that
were refused, would keep all others waiting, and a job's users with them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime


class Turns:
    """Calls what waits for its turn, on `clock`."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._waiting: deque[Callable[[], object]] = deque()

    def wait(self, start: Callable[[], object]) -> None:
        """Call `start` when all that waited before has had its turn."""
        self._waiting.append(start)
        if len(self._waiting) == 1:
            self._clock.callLater(0, self._next)

    def _next(self) -> None:
        start = self._waiting.popleft()
        if self._waiting:
            self._clock.callLater(0, self._next)
        start()
