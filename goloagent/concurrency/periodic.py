"""Periodic tasks, which continue after failures, and the registry that ``/health`` reads.

A failing task is a fault; one that has ended makes the agent unready.
"""

from __future__ import annotations

from collections.abc import Callable
from math import floor
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, maybeDeferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

# A timer may fire early by a rounding error, and still counts as on time.
_ROUNDING = 1e-6


class Periodic:
    """Calls `work` every `seconds` from `start` until `stop`, never concurrently.

    Calls are at multiples of the interval after the start; those due while the work runs are
    skipped. Of consecutive failures, the 1st, 10th, 100th and so on are logged.

    Args:
        name: the name in logs and in ``/health``.
        work: may return a Deferred or a coroutine.
        max_seconds: work that takes longer is a fault; None means no limit.
    """

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        seconds: float,
        name: str,
        work: Callable[[], Any],
        max_seconds: float | None = None,
    ) -> None:
        self.name = name
        self.late_seconds = 0.0
        """The delay of the latest call by the reactor."""
        self._clock = clock
        self._seconds = seconds
        self._work = work
        self._max_seconds = max_seconds
        self._timer: IDelayedCall | None = None
        self._started_at: float | None = None
        self._due = 0.0
        self._calling = False
        self._working: Deferred[Any] | None = None
        self._working_since = 0.0
        self._waiting: list[Deferred[None]] = []
        self._failures = 0
        self._error = ""

    def start(self, now: bool = False) -> None:
        """Make the first call after one interval, or at once if `now`."""
        assert not self.running, f"task {self.name} runs already"
        self._started_at = self._due = self._clock.seconds()
        if now:
            self._call()
        else:
            self._schedule()

    def stop(self) -> Deferred[None]:
        """Make no further call; fires when the running work has ended. Idempotent."""
        self._started_at = None
        if self._timer is not None and self._timer_is_set:
            self._timer.cancel()
        self._timer = None
        if self._working is None:
            return succeed(None)
        waiting: Deferred[None] = Deferred()
        self._waiting.append(waiting)
        return waiting

    def cancel(self) -> None:
        """Stop, and cancel the running work; a function in a thread is not interrupted."""
        self.stop()
        if self._working is not None:
            self._working.cancel()

    @property
    def running(self) -> bool:
        """Whether it is started and not stopped."""
        return self._started_at is not None

    @property
    def overdue_seconds(self) -> float:
        """The delay, up to now, of a call that the reactor has not made yet."""
        return max(0.0, self._clock.seconds() - self._due) if self._timer_is_set else 0.0

    @property
    def ended(self) -> bool:
        """Whether it is started but will make no further call, which is a defect."""
        busy = self._calling or self._working is not None
        return self.running and not busy and not self._timer_is_set

    @property
    def fault(self) -> str | None:
        """The fault as a sentence, or None."""
        if self._failures:
            times = "once" if self._failures == 1 else f"{self._failures} times in a row"
            return f"The task {self.name} has failed {times}: {self._error}."
        if self._max_seconds is not None and self._working is not None:
            seconds = self._clock.seconds() - self._working_since
            if seconds > self._max_seconds:
                return f"The task {self.name} has been running for {seconds:.0f} s."
        return None

    @property
    def _timer_is_set(self) -> bool:
        return self._timer is not None and bool(self._timer.active())

    def _schedule(self) -> None:
        """Set the timer to the next multiple of the interval."""
        assert self._started_at is not None
        elapsed = self._clock.seconds() - self._started_at
        intervals = floor(elapsed / self._seconds + _ROUNDING) + 1
        self._due = self._started_at + intervals * self._seconds
        self._timer = self._clock.callLater(max(0.0, self._due - self._clock.seconds()), self._call)

    def _call(self) -> None:
        self._timer = None
        self._working_since = self._clock.seconds()
        self.late_seconds = max(0.0, self._working_since - self._due)
        self._calling = True
        self._working = working = maybeDeferred(self._work)
        self._calling = False
        working.addCallbacks(self._succeeded, self._failed)
        working.addBoth(self._over)

    def _succeeded(self, _: object) -> None:
        if self._failures:
            self._log.info(
                "task {name} works again after {count} failures",
                name=self.name,
                count=self._failures,
            )
        self._failures = 0

    def _failed(self, failure: Failure) -> None:
        if not self.running and failure.check(CancelledError):
            return
        self._failures += 1
        self._error = f"{type(failure.value).__name__}: {failure.getErrorMessage()}".rstrip(".")
        if str(self._failures).rstrip("0") == "1":  # 1, 10, 100, …
            self._log.failure(
                "task {name} failed {count} times in a row; it runs again every {seconds} s",
                failure,
                name=self.name,
                count=self._failures,
                seconds=self._seconds,
            )

    def _over(self, _: object) -> None:
        self._working = None
        if self.running:
            self._schedule()
        waiting, self._waiting = self._waiting, []
        for stopped in waiting:
            stopped.callback(None)


class Tasks:
    """The periodic tasks that must run as long as the agent, and the faults of other loops."""

    _log = Logger()

    def __init__(self) -> None:
        self._periodic: list[Periodic] = []
        self._reported: dict[str, str] = {}

    def add(self, *tasks: Periodic) -> None:
        """Watch periodic tasks, while they are running."""
        self._periodic += tasks

    def report(self, name: str, fault: str | None) -> None:
        """Set the fault of a loop that restarts itself, or None when it works again."""
        self._reported.pop(name, None)
        if fault is not None:
            self._reported[name] = fault

    @property
    def reported(self) -> list[str]:
        """The reported faults, a sentence each."""
        return list(self._reported.values())

    @property
    def faults(self) -> list[str]:
        """The faults of periodic tasks, a sentence each."""
        return [fault for task in self._periodic if (fault := task.fault) is not None]

    @property
    def ended(self) -> list[str]:
        """The names of the tasks that have ended without `stop`."""
        return [task.name for task in self._periodic if task.ended]
