"""How late the event loop is: calls itself at an interval and tells by how much it missed."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

INTERVAL_SECONDS = 0.1


class Lateness:
    """Tells `late` seconds, ten times a second, between `start` and `stop`."""

    def __init__(self, clock: IReactorTime, late: Callable[[float], None]) -> None:
        self._clock = clock
        self._late = late
        self._call: IDelayedCall | None = None
        self._due = 0.0

    def start(self) -> None:
        """Begin."""
        self._due = self._clock.seconds() + INTERVAL_SECONDS
        self._call = self._clock.callLater(INTERVAL_SECONDS, self._called)

    def stop(self) -> None:
        """End; before `start` it does nothing."""
        if self._call is not None and self._call.active():
            self._call.cancel()

    def _called(self) -> None:
        # The clock may have been set back.
        self._late(max(0.0, self._clock.seconds() - self._due))
        self.start()
