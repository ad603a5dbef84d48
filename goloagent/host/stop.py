"""The ordered stop: phases with a common deadline, none of which can block the next.

`Guard` ends the process if the reactor thread itself hangs, for example in a call to a disk.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure


class OrderedStop:
    """A stop of at most `seconds`; `entered` is called with the name of each phase."""

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        seconds: float,
        entered: Callable[[str], None] = lambda name: None,
    ) -> None:
        self._clock = clock
        self._entered = entered
        self._begun = clock.seconds()
        self._seconds = seconds
        self.left: list[str] = []
        """The phases that did not complete."""

    @property
    def elapsed(self) -> float:
        """The seconds since the stop began."""
        return self._clock.seconds() - self._begun

    async def phase(
        self, name: str, begin: Callable[[float], Any], reserve_seconds: float = 0.0
    ) -> bool:
        """Run one phase, and return whether it completed.

        Args:
            begin: called with the seconds of the phase; may return a Deferred or a coroutine, which
                is cancelled after that time, without waiting for the cancellation.
            reserve_seconds: the part of the remaining time that is for later phases.
        """
        self._entered(name)
        seconds = max(0.0, self._seconds - self.elapsed - reserve_seconds)
        over: Deferred[bool] = Deferred()
        late = False

        def end(complete: bool) -> None:
            if not over.called:
                over.callback(complete)

        def ended(result: object) -> None:
            if isinstance(result, Failure) and not late:
                self._log.failure("stopping: {name} failed", result, name=name)
            end(not late and not isinstance(result, Failure))

        def expire() -> None:
            nonlocal late
            late = True
            working.cancel()
            end(False)

        working = maybeDeferred(begin, seconds)
        timer = self._clock.callLater(seconds, expire)
        working.addBoth(ended)
        complete = await over
        if timer.active():
            timer.cancel()
        if not complete:
            self.left.append(name)
        return complete


class Guard:
    """Ends the process with exit code 1, `seconds` after it was armed, from a thread of its own.

    Args:
        end: ends the process with an exit code.
    """

    def __init__(self, seconds: float, end: Callable[[int], Any] = os._exit) -> None:
        self.phase = "the event loop"
        """The current phase, named in the error."""
        self._seconds = seconds
        self._end = end
        self._armed = threading.Event()

    def start(self) -> None:
        """Start the thread.

        Raises:
            RuntimeError: the system allows no further thread.
        """
        threading.Thread(target=self._watch, name="stop-guard", daemon=True).start()

    def arm(self) -> None:
        """Start the timer, unless it runs. Safe in a signal handler."""
        self._armed.set()

    def enter(self, phase: str) -> None:
        """Set the current phase."""
        self.phase = phase

    def _watch(self) -> None:
        self._armed.wait()
        time.sleep(self._seconds)
        line = f"golo-agent: the stop did not end in {self._seconds:.0f} s: {self.phase}\n"
        try:
            # Not the log, whose lock a hanging call may hold.
            os.write(2, line.encode())
        finally:
            self._end(1)
