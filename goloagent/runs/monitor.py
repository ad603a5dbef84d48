"""The agent's pulse: each second it tells those who follow the running job how it goes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol

from twisted.internet.interfaces import IReactorTime

from goloagent.concurrency.periodic import Periodic
from goloagent.jobs.job import Job
from goloagent.runs.progress import ProgressCalculator, ProgressResource
from goloagent.runs.run import Run

BEAT_SECONDS = 1.0
BEATS_PER_KEEPALIVE = 15


class Subscribers(Protocol):
    """Receives the progress of the running job."""

    def publish_progress(self, job: Job, progress: ProgressResource) -> None:
        """Publish one second of a job."""

    def keep_alive(self) -> None:
        """Send something to each subscriber, so that the connection stays open."""


class RunMonitor:
    """Beats by `clock`; `running` returns the run under way.

    The times of one job are `now` at its first beat and as much later as `clock` says, so that they
    never go back, whoever sets the clock of the day.
    """

    def __init__(
        self,
        clock: IReactorTime,
        now: Callable[[], datetime],
        running: Callable[[], Run | None],
        subscribers: Subscribers,
    ) -> None:
        self._clock = clock
        self._now = now
        self._running = running
        self._subscribers = subscribers
        self._meter = ProgressCalculator()
        self._beats = 0
        self._job: Job | None = None
        self._first = (now(), 0.0)
        self._last_seconds = clock.seconds()
        self.loop = Periodic(clock, BEAT_SECONDS, "events", self._sample)

    def start(self) -> None:
        """Begin; the first beat comes in a second."""
        self._last_seconds = self._clock.seconds()
        self.loop.start()

    def stop(self) -> None:
        """End; it may not have begun."""
        self.loop.stop()

    def _sample(self) -> None:
        seconds = self._clock.seconds()
        since, self._last_seconds = seconds - self._last_seconds, seconds
        run = self._running()
        # Once a job is over, its statistics are another thread's.
        if run is not None and not run.job.state.over:
            time = self._time(run.job, seconds)
            progress = self._meter.measure(run.job, run.statistics, time, since)
            self._subscribers.publish_progress(run.job, progress)
        self._beats += 1
        if self._beats % BEATS_PER_KEEPALIVE == 0:
            self._subscribers.keep_alive()

    def _time(self, job: Job, seconds: float) -> datetime:
        if self._job is not job:
            self._job, self._first = job, (self._now(), seconds)
        time, then = self._first
        return time + timedelta(seconds=seconds - then)
