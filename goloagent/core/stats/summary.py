"""Statistics as clients and the file next to a run's log get them; durations are in seconds."""

from __future__ import annotations

from msgspec import Struct

from goloagent.core.stats.histogram import Histogram

# The unit of histograms and of a result's `duration`.
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
        """Summarise a histogram of nanoseconds; return None if it is empty."""
        if not histogram.count:
            return None
        p50, p90, p95, p99, p999 = histogram.quantiles(500, 900, 950, 990, 999)
        return cls(
            min=histogram.minimum / NANOSECONDS,
            mean=histogram.total / histogram.count / NANOSECONDS,
            p50=p50 / NANOSECONDS,
            p90=p90 / NANOSECONDS,
            p95=p95 / NANOSECONDS,
            p99=p99 / NANOSECONDS,
            p999=p999 / NANOSECONDS,
            max=histogram.maximum / NANOSECONDS,
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
    """The results beyond the maximum number of rows."""

    results: int
    errors: int
    bytes: int
    latency: Latency | None


class Summary(Struct, frozen=True, kw_only=True):
    """The statistics of a run: all its results, and the same by method, URL and status.

    `rows` are ordered by their number of results, the highest first; `other` has the results beyond
    the maximum number of rows, and is null if there are none.
    """

    results: int
    errors: int
    bytes: int
    latency: Latency | None
    rows: list[RowSummary]
    other: OtherSummary | None


class Progress(Struct, frozen=True, kw_only=True):
    """The progress of a run: totals, the rates of the last full second, and the latency of both.

    `last_second` is null without a result in that second, `whole_run` without any result.
    """

    results: int
    errors: int
    results_per_second: float
    errors_per_second: float
    last_second: Latency | None
    whole_run: Latency | None
