"""The progress of the running job in one second, as in `progress` events. Pure."""

from __future__ import annotations

from datetime import datetime

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from goloagent.core.stats.run_stats import RunStatistics
from goloagent.core.stats.summary import NANOSECONDS, Latency
from goloagent.core.timeline import Times, Window
from goloagent.jobs.job import Job


class LatencyFigures(Struct, frozen=True):
    """Durations in seconds, null without any; their histogram if it was requested."""

    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    max: float | None = None
    histogram: str | UnsetType = UNSET

    @classmethod
    def of(cls, times: Times) -> LatencyFigures:
        """Return the figures of a window's times."""
        if not times.histogram:
            return cls()
        p50, p95, p99 = (value / NANOSECONDS for value in (times.p50, times.p95, times.p99))
        return cls(p50, p95, p99, times.max / NANOSECONDS)


class ProgressResource(Struct, frozen=True):
    """Rates, ``latency``, ``iteration`` and ``limited`` are of the last second, begun ``at``.

    All else is of the whole run; ``failed`` are among the ``returned`` calls. ``planned`` is the
    number of users or the rate. ``latency`` is of results and ``iteration`` of calls. Errors are
    results with an error or with a status that is one; failed calls are not among them.
    ``limited`` are the causes for which the load generator was the limit.
    """

    time: datetime
    at: float
    planned: float
    started_per_second: float
    dropped_per_second: float
    calls_per_second: float
    failed_per_second: float
    results_per_second: float
    errors_per_second: float
    in_flight: int
    dropped: int
    returned: int
    failed: int
    results: int
    errors: int
    pending: int
    latency: LatencyFigures
    latency_total: LatencyFigures
    iteration: LatencyFigures
    limited: tuple[str, ...] = ()


def progress_of(
    job: Job,
    window: Window,
    statistics: RunStatistics,
    time: datetime,
) -> ProgressResource:
    """Return the progress of `job` at the end of a window, whose results are in `statistics`."""
    results = statistics.progress()

    def rate(count: int) -> float:
        return round(count / window.seconds, 3) if window.seconds else 0.0

    return ProgressResource(
        time=time,
        at=window.at,
        planned=window.planned,
        started_per_second=rate(window.started),
        dropped_per_second=rate(window.dropped),
        calls_per_second=rate(window.succeeded + window.failed),
        failed_per_second=rate(window.failed),
        results_per_second=rate(window.results),
        errors_per_second=rate(window.errors),
        in_flight=job.calls.in_flight,
        dropped=job.calls.dropped,
        returned=job.calls.ok + job.calls.failed,
        failed=job.calls.failed,
        results=results.results,
        errors=results.errors,
        pending=job.results.pending,
        latency=_figures(results.last_second),
        latency_total=_figures(results.whole_run),
        iteration=LatencyFigures.of(window.iteration),
        limited=window.limited,
    )


def with_histograms(progress: ProgressResource, window: Window) -> ProgressResource:
    """Return the progress with the histograms of its window, if that has values."""
    return replace(
        progress,
        latency=replace(progress.latency, histogram=window.duration.histogram or UNSET),
        iteration=replace(progress.iteration, histogram=window.iteration.histogram or UNSET),
    )


def _figures(latency: Latency | None) -> LatencyFigures:
    if latency is None:
        return LatencyFigures()
    return LatencyFigures(latency.p50, latency.p95, latency.p99, latency.max)
