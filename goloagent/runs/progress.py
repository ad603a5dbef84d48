"""The progress of the running job in one second, as in `progress` events. Pure."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from goloagent.core.stats.run_stats import RunStatistics
from goloagent.core.stats.summary import Latency
from goloagent.jobs.job import Job


class LatencyFigures(Struct, frozen=True):
    """Durations in seconds; null without a result."""

    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    max: float | None = None


class ProgressResource(Struct, frozen=True):
    """Rates and ``latency`` are of the last second, all else of the whole run.

    Errors are results with an error or with a status that is one.
    """

    time: datetime
    calls_per_second: float
    results_per_second: float
    errors_per_second: float
    in_flight: int
    errors: int
    pending: int
    latency: LatencyFigures
    latency_total: LatencyFigures


class ProgressCalculator:
    """Calculates the progress of one job after the other."""

    def __init__(self) -> None:
        self._job: Job | None = None
        self._returned = 0

    def measure(
        self, job: Job, statistics: RunStatistics, time: datetime, seconds: float
    ) -> ProgressResource:
        """Return the progress of `job` in the last `seconds`."""
        if self._job is not job:
            self._job, self._returned = job, 0
        returned = job.calls.ok + job.calls.failed
        calls, self._returned = returned - self._returned, returned
        statistics.rotate_window(seconds)
        results = statistics.progress()
        return ProgressResource(
            time=time,
            calls_per_second=round(calls / seconds, 3),
            results_per_second=round(results.results_per_second, 3),
            errors_per_second=round(results.errors_per_second, 3),
            in_flight=job.calls.in_flight,
            errors=results.errors,
            pending=job.results.pending,
            latency=_figures(results.last_second),
            latency_total=_figures(results.whole_run),
        )


def _figures(latency: Latency | None) -> LatencyFigures:
    if latency is None:
        return LatencyFigures()
    return LatencyFigures(latency.p50, latency.p95, latency.p99, latency.max)
