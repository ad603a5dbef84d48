"""Detects each second whether the load generator itself was the limit."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterable
from typing import Any

from twisted.internet.interfaces import IReactorTime

from goloagent.concurrency.periodic import Periodic
from goloagent.core.spans import Spans
from goloagent.core.stats.error_groups import ErrorKey
from goloagent.jobs.job import Job
from goloagent.load.generator_limits import (
    Counters,
    Second,
    causes,
    read_counters,
    system_errors,
)
from goloagent.sandbox.cpu_use import CpuUse

LAG_INTERVAL_SECONDS = 0.05

# Intervals that follow each other are one span, also if a sum of floats is a little less.
_GAP_SECONDS = 0.01


class LimitDetector:
    """Observes the agent and its host from `start` to `stop`.

    Args:
        read: reads the kernel's counters, by default those of the thread that calls `start`.
        probe: returns the number of the error, or 0, of opening a file.
    """

    def __init__(
        self,
        clock: IReactorTime,
        read: Callable[[], Counters] | None = None,
        probe: Callable[[], int] | None = None,
    ) -> None:
        self._clock = clock
        self._read = read or read_own_counters
        self._probe = probe or probe_descriptors
        self._before = Counters()
        self._lag = 0.0
        self._timer = Periodic(clock, LAG_INTERVAL_SECONDS, "load-generator-lag", self._measure)

    def start(self) -> None:
        """Begin to observe."""
        self._before = self._read()
        self._timer.start()

    def stop(self) -> None:
        """End it; a second time, or before `start`, does nothing."""
        self._timer.stop()

    def sample(
        self,
        seconds: float,
        schedule_lag_p99_seconds: float = 0.0,
        stdout_blocked_seconds: float = 0.0,
        errors: frozenset[int] = frozenset(),
        cpu: CpuUse = CpuUse(),  # noqa: B008
    ) -> tuple[str, ...]:
        """Return the causes that held since `start` or the last call, `seconds` ago.

        Args:
            errors: numbers of the system errors that the load test has reported since.
            cpu: the use of the load test's processes.
        """
        before, self._before = self._before, self._read()
        lag, self._lag = max(self._lag, self._timer.overdue_seconds), 0.0
        own = self._probe()
        second = Second(
            seconds,
            loop_lag=lag,
            schedule_lag=schedule_lag_p99_seconds,
            stdout_blocked=stdout_blocked_seconds,
            errors=errors | {own} if own else errors,
            load_test_thread=cpu.thread,
            load_test_share=cpu.share,
        )
        return tuple(causes(second, before, self._before))

    def _measure(self) -> None:
        self._lag = max(self._lag, self._timer.late_seconds)


class LimitRecorder:
    """Records in a job when the load generator was the limit.

    Args:
        publish: called with each span that begins, as in the job resource.
    """

    def __init__(self, job: Job, publish: Callable[[dict[str, Any]], None]) -> None:
        self._job = job
        self._publish = publish
        self._spans = Spans(_GAP_SECONDS)

    def add(self, causes: Iterable[str], begin: float, end: float) -> None:
        """Record causes that held in an interval after all others."""
        new = self._spans.add(causes, round(begin, 3), round(end, 3))
        self._job.limited = tuple(self._spans.all)
        for span in new:
            self._publish({"cause": span.cause, "from": span.begin, "to": span.end})


class ErrorWatch:
    """Finds the system errors among a run's groups of errors."""

    def __init__(self) -> None:
        self._counts: dict[ErrorKey, int] = {}

    def since(self, groups: Iterable[tuple[ErrorKey, int]]) -> frozenset[int]:
        """Return the numbers of those that have occurred since the last call.

        Args:
            groups: the most frequent ones with their counts up to now.
        """
        before, self._counts = self._counts, {}
        found: frozenset[int] = frozenset()
        for key, count in groups:
            self._counts[key] = count
            if count > before.get(key, 0):
                found |= system_errors(key.message)
        return found


def read_own_counters() -> Counters:
    """Read the counters of the calling thread and of the host."""
    return read_counters(threading.get_native_id())


def probe_descriptors() -> int:
    """Return EMFILE or ENFILE if no file can be opened because of it, otherwise 0."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
    except OSError as error:
        return error.errno if error.errno in (errno.EMFILE, errno.ENFILE) else 0
    return 0
