"""The shapes in which statistics are told: to clients, and in the file beside a run's log.

Durations are in seconds, here as in all of our resources. Plain data.
"""

from __future__ import annotations

from msgspec import Struct

from goloagent.core.stats.histogram import Histogram

# By the histogram's unit, which is that of a result's `duration`.
NANOSECONDS = 1_000_000_000


class Latency(Struct, frozen=True, kw_only=True):
    """The durations of results, in seconds: percentiles by nearest rank and within 0.1 %.

    `min`, `mean` and `max` are exact.
    """

    min: float
    mean: float
    p50: float
    p90: float
    p95: float
    p99: float
    p999: float
    max: float

    @classmethod
    def of(cls, histogram: Histogram) -> Latency | None:
        """Summarise a histogram of nanoseconds; one without values has no latency."""
        if not histogram.count:
            return None
        p50, p90, p95, p99, p999 = histogram.quantiles(500, 900, 950, 990, 999)
        return cls(
            min=histogram.least / NANOSECONDS,
            mean=histogram.total / histogram.count / NANOSECONDS,
            p50=p50 / NANOSECONDS,
            p90=p90 / NANOSECONDS,
            p95=p95 / NANOSECONDS,
            p99=p99 / NANOSECONDS,
            p999=p999 / NANOSECONDS,
            max=histogram.most / NANOSECONDS,
        )


class RowSummary(Struct, frozen=True, kw_only=True):
    """The results of one method, URL and status; `bytes` is the sum of their known sizes."""

    method: str
    url: str
    status: int
    results: int
    errors: int
    bytes: int
    latency: Latency | None


class OtherSummary(Struct, frozen=True, kw_only=True):
    """The results for which there was no row left."""

    results: int
    errors: int
    bytes: int
    latency: Latency | None


class Summary(Struct, frozen=True, kw_only=True):
    """The statistics of a run: all its results, and the same by method, URL and status.

    `rows` has those with the most results first; `other` is all for which there was no row left,
    and null while there is none such.
    """

    results: int
    errors: int
    bytes: int
    latency: Latency | None
    rows: list[RowSummary]
    other: OtherSummary | None


class Progress(Struct, frozen=True, kw_only=True):
    """How a run goes: its totals, the rates of the last full second, and the latency of both.

    `last_second` is null when no result came in it, `whole_run` when none ever came.
    """

    results: int
    errors: int
    results_per_second: float
    errors_per_second: float
    last_second: Latency | None
    whole_run: Latency | None
