"""Statistics as clients and the file next to a run's log get them; durations are in seconds."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from goloagent.core.stats.hdr import decode, encode
from goloagent.core.stats.histogram import Histogram

# The unit of histograms and of a result's `duration`.
NANOSECONDS = 1_000_000_000


class Latency(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The durations of results or calls, in seconds: percentiles by nearest rank, within 0.1 %.

    `min`, `mean` and `max` are exact. `histogram`, of nanoseconds, is in HdrHistogram's V2 encoding
    with 3 digits, compressed and in base64.
    """

    min: float
    mean: float
    p50: float
    p90: float
    p95: float
    p99: float
    p999: float
    max: float
    histogram: str | None = None

    @classmethod
    def of(cls, histogram: Histogram, encoded: bool = False) -> Latency | None:
        """Summarise a histogram of nanoseconds, which takes 0.1 ms, or 1 ms if it is encoded too.

        Return None if it is empty.
        """
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
            histogram=encode(histogram) if encoded else None,
        )

    def decoded(self) -> Histogram:
        """Return the histogram, with the exact minimum, mean and maximum; empty if it is null."""
        if self.histogram is None:
            return Histogram()
        histogram = decode(self.histogram)
        histogram.minimum = round(self.min * NANOSECONDS)
        histogram.maximum = round(self.max * NANOSECONDS)
        histogram.total = round(self.mean * histogram.count * NANOSECONDS)
        return histogram


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


class UrlSummary(Struct, frozen=True, kw_only=True):
    """All results of one URL; `method` is null if its rows have several.

    `error_share` is from 0 to 1.
    """

    method: str | None
    url: str
    results: int
    errors: int
    error_share: float
    bytes: int
    latency: Latency | None


class ErrorSummary(Struct, frozen=True, kw_only=True):
    """How many errors have these members; those of a failed call are empty but for its message."""

    method: str
    url: str
    status: int
    message: str
    count: int


class CallsSummary(Struct, frozen=True, kw_only=True):
    """The times of the calls to the load test; null without a call that returned.

    `iteration` is from the intended start to the return, `service` from the sending to the return,
    and `schedule_lag` from the intended start to the sending.
    """

    iteration: Latency | None
    service: Latency | None
    schedule_lag: Latency | None


class Summary(Struct, frozen=True, kw_only=True):
    """The statistics of a run: all its results, and the same by method, URL and status.

    `rows` and `urls` are ordered by their number of results, the highest first. `other` has the
    results beyond the maximum number of rows, `other_urls` those of them whose URL has no row; they
    are null if there are none. `first` and `last` are the least and the greatest timestamp, and
    `rate` the results a second between them, null if they are equal.

    `errors_by_reason` has the most frequent errors of results and calls, `other_errors` counts the
    others. After a kill of the agent, only those times of calls are known that the timeline has.
    """

    results: int
    errors: int
    bytes: int
    rate: float | None
    first: datetime | None
    last: datetime | None
    latency: Latency | None
    rows: list[RowSummary]
    other: OtherSummary | None
    urls: list[UrlSummary]
    other_urls: OtherSummary | None
    errors_by_reason: list[ErrorSummary]
    other_errors: int
    failed_calls: int
    calls: CallsSummary


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
