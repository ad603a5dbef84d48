"""The statistics of one run: of all its results, and of the last full second.

They have no clock: the caller ends each second. Live results and those read from the log give the
same statistics.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from goloagent.core.record import Record
from goloagent.core.stats.call_histograms import CallHistograms
from goloagent.core.stats.error_groups import TOP, ErrorGroups, ErrorKey, shorten
from goloagent.core.stats.histogram import Histogram
from goloagent.core.stats.request_stats import RequestStats
from goloagent.core.stats.result_window import ResultWindow
from goloagent.core.stats.summary import (
    CallsSummary,
    ErrorSummary,
    Latency,
    Progress,
    RowSummary,
    Summary,
    UrlSummary,
)
from goloagent.core.stats.time_span import TimeSpan
from goloagent.core.thresholds import Selector


class RunStatistics:
    """The statistics of the results added so far.

    Args:
        selectors: for which windows have the selected results.
    """

    def __init__(self, selectors: Sequence[Selector] = ()) -> None:
        self.errors = ErrorGroups()
        self.calls = CallHistograms()
        self.failed_calls = 0
        self._table = RequestStats(errors=self.errors, selectors=selectors)
        self._span = TimeSpan()
        self._earlier = Histogram()  # the windows before the present one
        self.results = 0
        self._second = 0, 0, 0.0
        self._last_second: Latency | None = None

    def add(self, records: list[Record]) -> None:
        """Add results."""
        if records:
            self._table.add(records)
            self._span.add(records)
            self.results += len(records)

    def add_failed_calls(self, errors: Sequence[str]) -> None:
        """Count calls that failed, by their messages."""
        self.errors.add([ErrorKey(shorten(error)) for error in errors])
        self.failed_calls += len(errors)

    def rotate_window(self, seconds: float) -> ResultWindow:
        """End the present window, which took `seconds` by the caller's clock, and return it."""
        window = self._table.rotate()
        self._second = window.results, window.errors, seconds
        self._last_second = Latency.of(window.durations)
        self._earlier.merge(window.durations)
        return window

    def progress(self) -> Progress:
        """Return the present totals, and the rates of the last window."""
        results, errors, seconds = self._second
        return Progress(
            results=self.results,
            errors=self._table.errors,
            results_per_second=results / seconds if seconds else 0.0,
            errors_per_second=errors / seconds if seconds else 0.0,
            last_second=self._last_second,
            whole_run=Latency.of(self.durations()),
        )

    def durations(self) -> Histogram:
        """Return the durations of all results, in nanoseconds."""
        whole = Histogram()
        whole.merge(self._earlier)
        whole.merge(self._table.window)
        return whole

    def top_errors(self, number: int) -> list[ErrorSummary]:
        """Return the most frequent errors."""
        return [
            ErrorSummary(
                count=count, message=key.message, method=key.method, url=key.url, status=key.status
            )
            for key, count in self.errors.top(number)
        ]

    def flush(self) -> None:
        """Add pending results, so that any thread may call `summary` until the next `add`."""
        self._table.flush()

    def summary(self, encoded: bool = False) -> Summary:
        """Return the summary; a thousand rows take about 0.3 s, or 1 s with encoded histograms."""
        *_, summary = self.iter_summary(encoded)
        assert summary is not None
        return summary

    def iter_summary(self, encoded: bool = False) -> Iterator[Summary | None]:
        """Yield None after each row, which takes 0.1 ms to 1 ms, and the summary at the end.

        The totals are those of the end; results added meanwhile are in the later rows only.
        """
        table = self._table
        rows: list[RowSummary] = []
        for row in table.rows(encoded):
            rows.append(row)
            yield None
        urls: list[UrlSummary] = []
        for url in table.urls(encoded):
            if url is not None:
                urls.append(url)
            yield None
        urls.sort(key=lambda url: (-url.results, url.url))
        errors = self.top_errors(TOP)
        first, last = self._span.ends or (None, None)
        seconds = (last - first).total_seconds() if first and last else 0.0
        yield Summary(
            results=self.results,
            errors=table.errors,
            bytes=table.bytes,
            rate=self.results / seconds if seconds else None,
            first=first,
            last=last,
            latency=Latency.of(self.durations(), encoded),
            rows=rows,
            other=table.other(encoded),
            urls=urls,
            other_urls=table.other_urls(encoded),
            errors_by_reason=errors,
            other_errors=self.errors.total - sum(error.count for error in errors),
            failed_calls=self.failed_calls,
            calls=CallsSummary(
                iteration=Latency.of(self.calls.iteration, encoded),
                service=Latency.of(self.calls.service, encoded),
                schedule_lag=Latency.of(self.calls.schedule_lag, encoded),
            ),
        )
