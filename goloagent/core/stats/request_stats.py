"""The results of a run by method, URL and status: their number, errors, bytes and latency.

The number of rows and the length of their names are bounded, whatever a load test prints.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from goloagent.core.record import Record
from goloagent.core.stats.histogram import Histogram
from goloagent.core.stats.summary import Latency, OtherSummary, RowSummary

MAX_ROWS = 1000
"""At 10 KiB of latencies each, rows take about 10 MiB.

A row with durations from zero to centuries takes 64 KiB, or twice that beyond 65,535 in a bucket.
"""

MAX_URL_CHARS = 2048
"""Longer URLs with the same start share a row. Most servers reject much longer ones."""

MAX_METHOD_CHARS = 32
"""The longest method registered with IANA has 16."""

# Durations are added to histograms in bulk, because each addition costs some microseconds: at this
# number in total, about 3 ms of work, or at this number a row if there are many rows.
_MAX_PENDING = 16_384
_MAX_PENDING_PER_ROW = 64

# Sizes and their sum are int64; only a broken load test exceeds the sum.
_MAX_BYTES = 2**63 - 1


class StatsEntry:
    """The results of one row; `pending` durations are not in the histogram yet."""

    __slots__ = ("bytes", "durations", "errors", "pending")

    def __init__(self) -> None:
        self.errors = 0
        self.bytes = 0
        self.pending: list[int] = []
        self.durations = Histogram()

    @property
    def results(self) -> int:
        """The number of results."""
        return self.durations.count + len(self.pending)


class RequestStats:
    """Rows by method, URL and status, at most `max_rows`, and one for all others.

    The first kinds of results get the rows, so the same results in the same order give the same
    statistics.
    """

    def __init__(self, max_rows: int = MAX_ROWS) -> None:
        self._max_rows = max_rows
        self._rows: dict[tuple[str, str, int], StatsEntry] = {}
        self._other = StatsEntry()
        self._pending = 0
        self._recent = Histogram()

    def add(self, records: Collection[Record]) -> None:
        """Add results.

        An error is a result with an `error` that is not null, or with a status that is not from 1
        to 399. A negative size is unknown and adds nothing.
        """
        find = self._rows.get
        for record in records:
            status = record.status or 0
            key = (record.method or "", record.url or "", status)
            row = find(key) or self._row(key)
            row.pending.append(record.duration or 0)
            if record.error is not None or not 0 < status < 400:
                row.errors += 1
            size = record.size
            if size and size > 0:
                row.bytes += size
        self._pending += len(records)
        if self._pending >= max(_MAX_PENDING, _MAX_PENDING_PER_ROW * len(self._rows)):
            self.flush()

    @property
    def errors(self) -> int:
        """The number of errors."""
        return sum(row.errors for row in self._all())

    @property
    def bytes(self) -> int:
        """The sum of all known sizes."""
        return min(sum(row.bytes for row in self._all()), _MAX_BYTES)

    def flush(self) -> Histogram:
        """Add pending durations, so that any thread may read until the next `add`.

        Returns the durations since `reset_window`.
        """
        for row in self._all():
            self._flush(row)
        self._pending = 0
        return self._recent

    def reset_window(self) -> None:
        """Start a window: `flush` returns later durations only."""
        self._recent = Histogram()

    def rows(self) -> Iterator[RowSummary]:
        """Yield the summary of each row, those with the most results first."""
        by_results = sorted(self._rows.items(), key=lambda item: (-item[1].results, item[0]))
        for (method, url, status), row in by_results:
            yield RowSummary(
                method=method,
                url=url,
                status=status,
                results=row.results,
                errors=row.errors,
                bytes=min(row.bytes, _MAX_BYTES),
                latency=self._latency(row),
            )

    def other(self) -> OtherSummary | None:
        """Return the summary of the results beyond `max_rows`, or None if there are none."""
        row = self._other
        if not row.results:
            return None
        return OtherSummary(
            results=row.results,
            errors=row.errors,
            bytes=min(row.bytes, _MAX_BYTES),
            latency=self._latency(row),
        )

    def _row(self, key: tuple[str, str, int]) -> StatsEntry:
        """Return the row of a new or truncated key."""
        method, url, status = key
        key = (method[:MAX_METHOD_CHARS], url[:MAX_URL_CHARS], status)
        row = self._rows.get(key)
        if row is not None:
            return row
        if len(self._rows) >= self._max_rows:
            return self._other
        return self._rows.setdefault(key, StatsEntry())

    def _latency(self, row: StatsEntry) -> Latency | None:
        self._flush(row)
        return Latency.of(row.durations)

    def _flush(self, row: StatsEntry) -> None:
        row.durations.record(row.pending, self._recent)
        row.pending.clear()

    def _all(self) -> Iterator[StatsEntry]:
        yield from self._rows.values()
        yield self._other
