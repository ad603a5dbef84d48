"""How late the event loop is: calls itself at an interval and tells by how much it missed."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime

from goloagent.concurrency.periodic import Periodic

INTERVAL_SECONDS = 0.1


class EventLoopLag:
    """Tells `late` seconds, ten times a second, between `start` and `stop`."""

    def __init__(self, clock: IReactorTime, late: Callable[[float], None]) -> None:
        self._late = late
        self.loop = Periodic(clock, INTERVAL_SECONDS, "event-loop-lag", self._measure)

    def start(self) -> None:
        """Begin."""
        self.loop.start()

    def stop(self) -> None:
        """End; before `start` it does nothing."""
        self.loop.stop()

    def _measure(self) -> None:
        self._late(self.loop.late_seconds)
