"""The statistics of one run: of all its results, and of the last full second.

They have no clock: the caller ends each second. Live results and those read from the log give the
same statistics.
"""

from __future__ import annotations

from collections.abc import Iterator

from goloagent.core.record import Record
from goloagent.core.stats.histogram import Histogram
from goloagent.core.stats.request_stats import RequestStats
from goloagent.core.stats.summary import Latency, Progress, Summary


class RunStatistics:
    """The statistics of the results added so far."""

    def __init__(self) -> None:
        self._table = RequestStats()
        self._earlier = Histogram()  # the windows before the present one
        self.results = 0
        self._errors_before = 0
        self._second = 0, 0, 0.0
        self._last_second: Latency | None = None

    def add(self, records: list[Record]) -> None:
        """Add results."""
        self._table.add(records)
        self.results += len(records)

    def rotate_window(self, seconds: float) -> None:
        """End the present window, which took `seconds` by the caller's clock."""
        since = self._table.flush()
        errors = self._table.errors
        self._second = since.count, errors - self._errors_before, seconds
        self._last_second = Latency.of(since)
        self._errors_before = errors
        self._earlier.merge(since)
        self._table.reset_window()

    def progress(self) -> Progress:
        """Return the present totals, and the rates of the last window."""
        results, errors, seconds = self._second
        return Progress(
            results=self.results,
            errors=self._table.errors,
            results_per_second=results / seconds if seconds else 0.0,
            errors_per_second=errors / seconds if seconds else 0.0,
            last_second=self._last_second,
            whole_run=self._latency(),
        )

    def flush(self) -> None:
        """Add pending results, so that any thread may call `summary` until the next `add`."""
        self._table.flush()

    def summary(self) -> Summary:
        """Return the summary; a thousand rows take about 0.1 s."""
        *_, summary = self.iter_summary()
        assert summary is not None
        return summary

    def iter_summary(self) -> Iterator[Summary | None]:
        """Yield None after each row, which takes 0.1 ms, and the summary at the end.

        The totals are those of the end; results added meanwhile are in the later rows only.
        """
        rows = []
        for row in self._table.rows():
            rows.append(row)
            yield None
        yield Summary(
            results=self.results,
            errors=self._table.errors,
            bytes=self._table.bytes,
            latency=self._latency(),
            rows=rows,
            other=self._table.other(),
        )

    def _latency(self) -> Latency | None:
        since = self._table.flush()
        if not since.count:
            return Latency.of(self._earlier)
        whole = Histogram()
        whole.merge(self._earlier)
        whole.merge(since)
        return Latency.of(whole)
