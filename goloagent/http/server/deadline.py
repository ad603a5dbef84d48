"""The one timer of a connection."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall


class Deadline:
    """A timer that `call_later` starts; setting it replaces the previous one."""

    def __init__(self, call_later: Callable[..., IDelayedCall]) -> None:
        self._call_later = call_later
        self._timer: IDelayedCall | None = None

    def set(self, seconds: float, on_expired: Callable[[], object]) -> None:
        """Call `on_expired` after `seconds`."""
        self.cancel()
        self._timer = self._call_later(seconds, on_expired)

    def cancel(self) -> None:
        """Stop the timer, if it runs."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
