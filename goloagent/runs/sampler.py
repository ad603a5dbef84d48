"""The sampler: makes a window of each second of a run's load, for its timeline and its watchers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Protocol

import attrs
from msgspec import to_builtins
from twisted.internet.interfaces import IReactorTime

from goloagent.concurrency.periodic import Periodic
from goloagent.core.profile.ramp import NS
from goloagent.core.stats.call_histograms import CallHistograms
from goloagent.core.stats.result_window import ResultWindow
from goloagent.core.stats.run_stats import RunStatistics
from goloagent.core.timeline import Times, Window
from goloagent.jobs.job import TOP_ERRORS, CallCounts, Job
from goloagent.load.load_driver import LoadDriver
from goloagent.runs.cpu_recorder import CpuRecorder
from goloagent.runs.limit_detector import ErrorWatch, LimitDetector, LimitRecorder
from goloagent.runs.progress import ProgressResource, progress_of, with_histograms
from goloagent.runs.second_sample import SecondSample
from goloagent.runs.steering import Change
from goloagent.sandbox.cpu_use import CpuMeter, CpuUse
from goloagent.wal.timeline_file import TimelineFile

SECONDS = 1.0


class Watchers(Protocol):
    """Receives what happens in a run."""

    def publish_progress(
        self, job: Job, progress: ProgressResource, detailed: Callable[[], ProgressResource]
    ) -> None:
        """Publish one second of a job, in detail for those who want its histograms."""

    def publish(self, job: Job, kind: str, value: Any) -> None:
        """Publish an event that every subscriber gets."""


class MeasuredProcess(Protocol):
    """The load test, as far as it is measured."""

    @property
    def stdout_blocked_seconds(self) -> float:
        """For how long the pipe of stdout has been full."""

    def cpu_meter(self) -> CpuMeter:
        """Return a meter of the CPU time from now on."""


class RunSampler:
    """Samples a run from `start` to `stop`, at whole seconds from the start of its load.

    Args:
        open_timeline: creates the timeline of a job whose load starts at a time.
        on_second: called with each sample, after it was stored.
    """

    def __init__(
        self,
        job: Job,
        driver: LoadDriver,
        limits: LimitRecorder,
        clock: IReactorTime,
        now: Callable[[], datetime],
        open_timeline: Callable[[Job, datetime], TimelineFile],
        watchers: Watchers,
        on_second: Callable[[SecondSample], None],
    ) -> None:
        self._job = job
        self._driver = driver
        self._limits = limits
        self._clock = clock
        self._now = now
        self._open_timeline = open_timeline
        self._watchers = watchers
        self._on_second = on_second
        self._detector = LimitDetector(clock)
        self._usage = CpuRecorder(job)
        self._errors = ErrorWatch()
        self._loop = Periodic(clock, SECONDS, "sampler", self._sample)
        self._timeline: TimelineFile | None = None
        self._statistics = RunStatistics()
        self._process: MeasuredProcess | None = None
        self._cpu: CpuMeter | None = None
        self._blocked_before = 0.0
        self._origin = self._last = 0.0
        self._start_time = now()
        self._before = CallCounts()
        self._invalid_before = 0

    def start(self, statistics: RunStatistics, process: MeasuredProcess) -> None:
        """Begin, when the load begins."""
        self._statistics, self._process = statistics, process
        self._cpu = process.cpu_meter()
        self._start_time = self._now()
        self._timeline = self._open_timeline(self._job, self._start_time)
        self._detector.start()
        self._usage.start()
        self._origin = self._last = self._clock.seconds()
        self._loop.start()

    def note(self, change: Change) -> None:
        """Store a change of the load."""
        if self._timeline is not None:
            self._timeline.note(to_builtins(change))

    def stop(self) -> None:
        """Sample the rest of the last second, and close the timeline."""
        if self._timeline is None:
            return
        self._loop.stop()
        self._detector.stop()
        try:
            self._sample()
        finally:
            self._timeline.close()
            self._timeline = None

    def _sample(self) -> None:
        seconds = self._clock.seconds()
        at, length = self._last - self._origin, seconds - self._last
        self._last = seconds
        calls = self._driver.times.rotate()
        self._statistics.calls.merge(calls)
        results = self._statistics.rotate_window(length)
        self._job.errors = tuple(self._statistics.top_errors(TOP_ERRORS))
        assert self._cpu is not None
        cpu = self._cpu.take(length)
        self._usage.add(cpu.used, length, self._is_load(at, length))
        causes = self._causes(length, calls, cpu)
        self._limits.add(causes, at, at + length)
        sample = SecondSample(self._window(at, length, results, calls, causes), results, calls)
        assert self._timeline is not None
        self._timeline.append(sample.window)
        self._on_second(sample)
        time = self._start_time + timedelta(seconds=seconds - self._origin)
        progress = progress_of(self._job, sample.window, self._statistics, time)
        self._watchers.publish_progress(
            self._job, progress, lambda: with_histograms(progress, sample.window)
        )

    def _is_load(self, at: float, seconds: float) -> bool:
        """Return whether the load lasted for most of an interval."""
        ended = self._driver.ended
        return ended is None or ended / NS - at > seconds / 2

    def _causes(self, seconds: float, calls: CallHistograms, cpu: CpuUse) -> tuple[str, ...]:
        """Return the causes for which the generator was the limit."""
        assert self._process is not None
        before, self._blocked_before = self._blocked_before, self._process.stdout_blocked_seconds
        # Iterations that wait because `max_in_flight` are running are late by the target's fault.
        waited = self._driver.take_waited()
        (lag,) = (0,) if waited else calls.schedule_lag.quantiles(990)
        return self._detector.sample(
            seconds,
            lag / NS,
            self._blocked_before - before,
            self._errors.since(self._statistics.errors.top()),
            cpu,
        )

    def _window(
        self,
        at: float,
        seconds: float,
        results: ResultWindow,
        calls: CallHistograms,
        causes: tuple[str, ...],
    ) -> Window:
        job, driver = self._job, self._driver
        counts, before = attrs.evolve(job.calls), self._before
        self._before = counts
        invalid, self._invalid_before = job.lines.invalid - self._invalid_before, job.lines.invalid
        return Window(
            at=round(at, 3),
            seconds=round(seconds, 3),
            planned=driver.planned,
            scheduled=counts.scheduled - before.scheduled,
            started=counts.started - before.started,
            dropped=counts.dropped - before.dropped,
            succeeded=counts.ok - before.ok,
            failed=counts.failed - before.failed,
            in_flight=counts.in_flight,
            max_in_flight=driver.take_max_in_flight(),
            results=results.results,
            errors=results.errors,
            bytes=results.bytes,
            invalid=invalid,
            duration=Times.of(results.durations),
            iteration=Times.of(calls.iteration),
            limited=causes,
        )
