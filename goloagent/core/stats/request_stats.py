"""The results of a run by method, URL and status: how many, how many errors, bytes and latency.

Bounded whatever a load test prints: in rows, and in what is kept of each one's name. Refuses to
know what time it is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from goloagent.core.record import Record
from goloagent.core.stats.histogram import Histogram
from goloagent.core.stats.summary import Latency, OtherSummary, RowSummary

MAX_ROWS = 1000
"""With 10 KiB of latencies each, rows stay near 10 MiB, and a page with them can still be read.

Rows that each have both zero and centuries take 64 KiB, and twice that beyond 65,535 of a bucket.
"""

MAX_URL_CHARS = 2048
"""Longer URLs share a row when they begin alike. Most servers refuse what is much longer."""

MAX_METHOD_CHARS = 32
"""The longest method that is registered with IANA has 16."""

# Durations go into histograms many at a time, as each time costs some microseconds: so many in all,
# which is some 3 ms of work, or so many a row when there are many.
_PENDING = 16_384
_PENDING_OF_A_ROW = 64

# Sizes are int64, and so is their sum: beyond it lies only what a broken load test prints.
_MAX_BYTES = 2**63 - 1


class StatsEntry:
    """The results of one kind; durations are pending on their way to the histogram."""

    __slots__ = ("bytes", "durations", "errors", "pending")

    def __init__(self) -> None:
        self.errors = 0
        self.bytes = 0
        self.pending: list[int] = []
        self.durations = Histogram()

    @property
    def results(self) -> int:
        """How many results there are."""
        return self.durations.count + len(self.pending)


class RequestStats:
    """Rows by method, URL and status, at most `max_rows`, and one for all else.

    Who comes first has the rows, so that the same results in the same order make the same table.
    """

    def __init__(self, max_rows: int = MAX_ROWS) -> None:
        self._max_rows = max_rows
        self._rows: dict[tuple[str, str, int], StatsEntry] = {}
        self._other = StatsEntry()
        self._pending = 0
        self._recent = Histogram()

    def add(self, records: Collection[Record]) -> None:
        """Count results.

        An error is a result with an `error` that is not null, or with a status that is not from 1
        to 399. A size below zero is not known, and adds nothing.
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
        if self._pending >= max(_PENDING, _PENDING_OF_A_ROW * len(self._rows)):
            self.flush()

    @property
    def errors(self) -> int:
        """How many of all results are errors."""
        return sum(row.errors for row in self._all())

    @property
    def bytes(self) -> int:
        """The sum of all known sizes."""
        return min(sum(row.bytes for row in self._all()), _MAX_BYTES)

    def flush(self) -> Histogram:
        """Leave nothing pending; until more comes, any thread may read.

        Returns the durations since `reset_window`.
        """
        for row in self._all():
            self._settle(row)
        self._pending = 0
        return self._recent

    def reset_window(self) -> None:
        """Have `settle` return later durations only."""
        self._recent = Histogram()

    def rows(self) -> Iterator[RowSummary]:
        """Summarise row by row, each when it is asked for; those with the most results first."""
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
        """Summarise all for which there was no row left, if there is any."""
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
        """Return the row of a key that is not there under its whole name."""
        method, url, status = key
        key = (method[:MAX_METHOD_CHARS], url[:MAX_URL_CHARS], status)
        row = self._rows.get(key)
        if row is not None:
            return row
        if len(self._rows) >= self._max_rows:
            return self._other
        return self._rows.setdefault(key, StatsEntry())

    def _latency(self, row: StatsEntry) -> Latency | None:
        self._settle(row)
        return Latency.of(row.durations)

    def _settle(self, row: StatsEntry) -> None:
        row.durations.record(row.pending, self._recent)
        row.pending.clear()

    def _all(self) -> Iterator[StatsEntry]:
        yield from self._rows.values()
        yield self._other
