"""The results of a run by method, URL and status: their number, errors, bytes and latency.

The number of rows and the length of their names are bounded, whatever a load test prints.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from goloagent.core.record import Record
from goloagent.core.stats.error_groups import ErrorGroups, message_of
from goloagent.core.stats.histogram import Histogram
from goloagent.core.stats.result_window import ResultWindow
from goloagent.core.stats.stats_entry import MAX_BYTES, StatsEntry
from goloagent.core.stats.summary import Latency, OtherSummary, RowSummary, UrlSummary
from goloagent.core.thresholds import Selector

MAX_ROWS = 1000
"""At 10 KiB of latencies each, rows take about 10 MiB, and at most as much again for their URLs.

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


class RequestStats:
    """Rows by method, URL and status, at most `max_rows`; further results by URL, or as others.

    The first kinds of results get the rows, so the same results in the same order give the same
    statistics. Results beyond the rows count for their URL if it has a row, and for selectors.

    Args:
        errors: gets each error.
        selectors: of windows.
    """

    def __init__(
        self,
        max_rows: int = MAX_ROWS,
        errors: ErrorGroups | None = None,
        selectors: Sequence[Selector] = (),
    ) -> None:
        self._max_rows = max_rows
        self._error_groups = ErrorGroups() if errors is None else errors
        self._rows: dict[tuple[str, str, int], StatsEntry] = {}
        # The pending results of rows that are no errors, by the members as they were printed.
        self._pending_of: dict[object, list[int]] = {}
        self._further: dict[str, StatsEntry] = {}  # beyond the rows, by URLs that have a row
        self._urls: dict[str, list[tuple[str, StatsEntry]]] = {}  # the rows' methods and entries
        self._window = StatsEntry()
        self._beyond = StatsEntry()  # the rows: `_further` and `_other`
        self._other = StatsEntry(self._window, self._beyond)
        self._selected = {one: StatsEntry() for one in selectors}
        self._pending = 0

    def add(self, records: Collection[Record]) -> None:
        """Add results.

        An error is a result with an `error` that is not null, or with a status that is not from 1
        to 399. A negative size is unknown and adds nothing.
        """
        find = self._pending_of.get
        rest = []
        for record in records:
            pending = find((record.method, record.url, record.status))
            if pending is None or record.error is not None:
                rest.append(record)
            else:
                pending.append(record.duration or 0)
                size = record.size
                pending.append(size if size and size > 0 else 0)
        if rest:
            self._add_each(rest)
        self._pending += len(records)
        if self._pending >= max(_MAX_PENDING, _MAX_PENDING_PER_ROW * len(self._rows)):
            self.flush()

    @property
    def errors(self) -> int:
        """The number of errors."""
        self.flush()
        return sum(entry.errors for entry in self._all())

    @property
    def bytes(self) -> int:
        """The sum of all known sizes."""
        self.flush()
        return min(sum(entry.bytes for entry in self._all()), MAX_BYTES)

    @property
    def window(self) -> Histogram:
        """The durations since the last `rotate`."""
        self.flush()
        return self._window.durations

    def flush(self) -> None:
        """Add pending results, so that any thread may read until the next `add`."""
        if self._pending:
            for entry in (*self._all(), *self._selected.values()):
                entry.flush()
            self._pending = 0

    def rotate(self) -> ResultWindow:
        """Return the results since the last call."""
        self.flush()
        window = ResultWindow.take(self._window)
        for one, entry in self._selected.items():
            window.by_selector[one] = ResultWindow.take(entry) if one.patterns else window
        return window

    def rows(self, encoded: bool = False) -> Iterator[RowSummary]:
        """Yield the summary of each row, those with the most results first."""
        by_results = sorted(self._rows.items(), key=lambda item: (-item[1].results, item[0]))
        for (method, url, status), entry in by_results:
            entry.flush()
            yield RowSummary(
                method=method,
                url=url,
                status=status,
                results=entry.results,
                errors=entry.errors,
                bytes=entry.bytes,
                latency=Latency.of(entry.durations, encoded),
            )

    def urls(self, encoded: bool = False) -> Iterator[UrlSummary | None]:
        """Yield the total of each URL that has a row, in any order, and None between steps."""
        for url, rows in list(self._urls.items()):
            methods = {method for method, _ in rows}
            further = [self._further[url]] if url in self._further else []
            total = StatsEntry()
            for entry in [entry for _, entry in rows] + further:
                total.merge(entry)
                yield None
            yield UrlSummary(
                method=methods.pop() if len(methods) == 1 else None,
                url=url,
                results=total.results,
                errors=total.errors,
                error_share=total.errors / total.results,
                bytes=total.bytes,
                latency=Latency.of(total.durations, encoded),
            )

    def other(self, encoded: bool = False) -> OtherSummary | None:
        """Return the summary of the results beyond `max_rows`, or None if there are none."""
        self.flush()
        return _other_summary(self._beyond, encoded)

    def other_urls(self, encoded: bool = False) -> OtherSummary | None:
        """Return the summary of those of them whose URL has no row, or None."""
        self.flush()
        return _other_summary(self._other, encoded)

    def _add_each(self, records: Collection[Record]) -> None:
        """Add results that are errors, or the first ones of their members."""
        errors = []
        rows = self._rows
        for record in records:
            method, url, status = record.method or "", record.url or "", record.status or 0
            size, error = record.size, record.error is not None or not 0 < status < 400
            row = rows.get((method, url, status))
            if row is None:
                method, url = method[:MAX_METHOD_CHARS], url[:MAX_URL_CHARS]
                entries = self._entries(method, url, status)
            else:
                entries = (row,)
                if not error:
                    self._pending_of[record.method, record.url, record.status] = row.pending
            for entry in entries:
                entry.pending += (record.duration or 0, size if size and size > 0 else 0)
                entry.pending_errors += error
            if error:
                errors.append((message_of(record.error), method, url, status))
        if errors:
            self._error_groups.add(errors)

    def _entries(self, method: str, url: str, status: int) -> tuple[StatsEntry, ...]:
        """Return the entries of results of these members, which are cut.

        They are their row, which may be new; or, beyond `max_rows`, the entry of their URL or that
        of all others, and the windows of selectors.
        """
        key = method, url, status
        row = self._rows.get(key)
        if row is not None:
            return (row,)
        if len(self._rows) < self._max_rows:
            self._rows[key] = row = StatsEntry(self._window, *self._matching(*key))
            self._urls.setdefault(url, []).append((method, row))
            return (row,)
        entry = self._further.get(url, self._other)
        if entry is self._other and url in self._urls:
            entry = self._further[url] = StatsEntry(self._window, self._beyond)
        return (entry, *self._matching(*key)) if self._selected else (entry,)

    def _matching(self, method: str, url: str, status: int) -> list[StatsEntry]:
        """Return the windows of the selectors that select these members."""
        return [
            entry
            for one, entry in self._selected.items()
            if one.patterns and one.matches(url=url, method=method, status=status)
        ]

    def _all(self) -> Iterator[StatsEntry]:
        yield from self._rows.values()
        yield from self._further.values()
        yield self._other


def _other_summary(entry: StatsEntry, encoded: bool) -> OtherSummary | None:
    if not entry.results:
        return None
    return OtherSummary(
        results=entry.results,
        errors=entry.errors,
        bytes=entry.bytes,
        latency=Latency.of(entry.durations, encoded),
    )
