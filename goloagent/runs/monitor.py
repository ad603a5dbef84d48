"""The monitor: publishes the progress of the running job each second."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol

from twisted.internet.interfaces import IReactorTime

from goloagent.concurrency.periodic import Periodic
from goloagent.jobs.job import Job
from goloagent.runs.progress import ProgressCalculator, ProgressResource
from goloagent.runs.run import Run

SAMPLE_SECONDS = 1.0
SAMPLES_PER_KEEPALIVE = 15


class Subscribers(Protocol):
    """Receives the progress of the running job."""

    def publish_progress(self, job: Job, progress: ProgressResource) -> None:
        """Publish one second of a job."""

    def keep_alive(self) -> None:
        """Send something to each subscriber, so that the connection stays open."""


class RunMonitor:
    """Samples the run that `running` returns.

    The times of one job are `now` at its first sample plus the time on the monotonic `clock`, so
    that they never go back.
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
        self._samples = 0
        self._job: Job | None = None
        self._first = (now(), 0.0)
        self._last_seconds = clock.seconds()
        self.loop = Periodic(clock, SAMPLE_SECONDS, "events", self._sample)

    def start(self) -> None:
        """Begin; the first sample is taken in a second."""
        self._last_seconds = self._clock.seconds()
        self.loop.start()

    def stop(self) -> None:
        """Stop; a monitor that was not started does nothing."""
        self.loop.stop()

    def _sample(self) -> None:
        seconds = self._clock.seconds()
        since, self._last_seconds = seconds - self._last_seconds, seconds
        run = self._running()
        # The statistics of a job that is over belong to another thread.
        if run is not None and not run.job.state.over:
            time = self._time(run.job, seconds)
            progress = self._meter.measure(run.job, run.statistics, time, since)
            self._subscribers.publish_progress(run.job, progress)
        self._samples += 1
        if self._samples % SAMPLES_PER_KEEPALIVE == 0:
            self._subscribers.keep_alive()

    def _time(self, job: Job, seconds: float) -> datetime:
        if self._job is not job:
            self._job, self._first = job, (self._now(), seconds)
        time, then = self._first
        return time + timedelta(seconds=seconds - then)
