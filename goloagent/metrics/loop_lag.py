"""The delay of the event loop, measured by a periodic call."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime

from goloagent.concurrency.periodic import Periodic

INTERVAL_SECONDS = 0.1


class EventLoopLag:
    """Calls `observe` with the delay in seconds, ten times a second."""

    def __init__(self, clock: IReactorTime, observe: Callable[[float], None]) -> None:
        self._observe = observe
        self.loop = Periodic(clock, INTERVAL_SECONDS, "event-loop-lag", self._measure)

    def start(self) -> None:
        """Start measuring."""
        self.loop.start()

    def stop(self) -> None:
        """Stop measuring; before `start` it does nothing."""
        self.loop.stop()

    def _measure(self) -> None:
        self._observe(self.loop.late_seconds)
