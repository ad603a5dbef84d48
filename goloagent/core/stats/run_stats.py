"""The statistics of one run: of all its results, and of those of the last full second.

Has no clock: whoever shows them tells when a second is over. Made live from what is written to the
log, or from the log itself, with the same outcome.
"""

from __future__ import annotations

from collections.abc import Iterator

from goloagent.core.record import Record
from goloagent.core.stats.histogram import Histogram
from goloagent.core.stats.request_stats import RequestStats
from goloagent.core.stats.summary import Latency, Progress, Summary


class RunStatistics:
    """Statistics that grow with `add`; `tick` ends a second."""

    def __init__(self) -> None:
        self._table = RequestStats()
        self._before = Histogram()  # up to the last tick
        self.results = 0
        self._errors_before = 0
        self._second = 0, 0, 0.0
        self._last_second: Latency | None = None

    def add(self, records: list[Record]) -> None:
        """Count results."""
        self._table.add(records)
        self.results += len(records)

    def rotate_window(self, seconds: float) -> None:
        """End the second that began with the last tick and took so long by the caller's clock."""
        since = self._table.flush()
        errors = self._table.errors
        self._second = since.count, errors - self._errors_before, seconds
        self._last_second = Latency.of(since)
        self._errors_before = errors
        self._before.merge(since)
        self._table.reset_window()

    def progress(self) -> Progress:
        """Tell how the run goes: totals as of now, rates of the second that ended last."""
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
        """Settle everything, so that until more comes any thread may ask for the summary."""
        self._table.flush()

    def summary(self) -> Summary:
        """Summarise the run; a thousand rows take some 0.1 s."""
        *_, summary = self.iter_summary()
        assert summary is not None
        return summary

    def iter_summary(self) -> Iterator[Summary | None]:
        """Summarise the run a row at a time: yield None after each, and the summary at last.

        So nobody is held up for longer than a row takes, 0.1 ms. The totals are those of the end;
        what was added meanwhile is in the rows that came later.
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
            return Latency.of(self._before)
        whole = Histogram()
        whole.merge(self._before)
        whole.merge(since)
        return Latency.of(whole)
