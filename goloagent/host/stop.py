"""An ordered stop within one deadline: each phase gets what remains, and none can hold up the next.

`Guard` ends the process if even the event loop stands still, such as in a call to a disk that does
not answer.
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
    """Phases of a stop that has `seconds` from now; `entered` is called with the name of each."""

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
        """The phases that did not come to their end."""

    @property
    def elapsed(self) -> float:
        """The seconds since the stop began."""
        return self._clock.seconds() - self._begun

    async def phase(
        self, name: str, begin: Callable[[float], Any], reserve_seconds: float = 0.0
    ) -> bool:
        """Perform one phase, and return whether it came to its end.

        Args:
            begin: is called with the seconds that it has, and may return a Deferred or a coroutine,
                which is cancelled after that time. Nothing waits for the cancellation.
            reserve_seconds: what later phases need of the time that remains.
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
    """Ends the process with exit code 1, `seconds` after it was armed.

    Its thread is started at the start, and needs nothing of the event loop.

    Args:
        end: ends the process with an exit code.
    """

    def __init__(self, seconds: float, end: Callable[[int], Any] = os._exit) -> None:
        self.phase = "the event loop"
        """What the process is doing, for the line that says what it did not come to the end of."""
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
        """Begin the time; a second call does not begin it anew. Safe in a signal handler."""
        self._armed.set()

    def enter(self, phase: str) -> None:
        """Note which phase of the stop begins."""
        self.phase = phase

    def _watch(self) -> None:
        self._armed.wait()
        time.sleep(self._seconds)
        line = f"golo-agent: the stop did not end in {self._seconds:.0f} s: {self.phase}\n"
        try:
            # Not by the log: whatever hangs may hold its lock.
            os.write(2, line.encode())
        finally:
            self._end(1)
