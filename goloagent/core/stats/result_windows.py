"""Windows of results alone, for aggregating outputs without a timeline of the run. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta, timezone
from functools import lru_cache

from goloagent.core.record import Record
from goloagent.core.stats.histogram import Histogram
from goloagent.core.timeline import Times, Window

_SECOND_CHARS = 20  # a quote and a second
_FLUSH = 4096


class ResultWindows:
    """Makes one window of each second that has results, by their timestamps.

    Windows are in the order of time; fractions of a second do not count. A result that is older
    than the present window, or later than `until`, counts in it. So any order of results gives
    windows in bounded memory, and the same results in the same order give the same windows.

    Args:
        start: the time from which windows count, such as that of the first result.
        begin: when the first window begins, in seconds from `start`.
        until: the latest time of a window, in seconds from `start`.
    """

    def __init__(self, start: datetime, begin: float = 0.0, until: float = float("inf")) -> None:
        self._start = start
        self._until = until
        self._end = begin  # of the last window
        self._next = begin + 1.0  # the end of the present one
        self._clear()

    def add(self, records: Iterable[Record]) -> Iterator[Window]:
        """Add results; yield each window that they complete."""
        for record in records:
            text = bytes(record.timestamp)
            seconds = self._seconds(text[1:_SECOND_CHARS], text[-7:])
            if seconds >= self._next:
                if self._results:
                    yield self._take()
                self._next += seconds - self._next - (seconds - self._next) % 1.0 + 1.0
            self._results += 1
            self._errors += record.error is not None or not 0 < (record.status or 0) < 400
            self._bytes += max(0, record.size or 0)
            self._pending.append(record.duration or 0)
            if len(self._pending) >= _FLUSH:
                self._flush()

    def close(self) -> Iterator[Window]:
        """Yield the last window, if it has results."""
        if self._results:
            yield self._take()

    def _take(self) -> Window:
        self._flush()
        window = Window(
            at=round(self._end, 3),
            seconds=round(self._next - self._end, 3),
            results=self._results,
            errors=self._errors,
            bytes=self._bytes,
            duration=Times.of(self._durations),
        )
        self._end = self._next
        self._next += 1.0
        self._clear()
        return window

    def _clear(self) -> None:
        self._results = self._errors = self._bytes = 0
        self._durations = Histogram()
        self._pending: list[int] = []

    def _flush(self) -> None:
        self._durations.record(self._pending)
        self._pending.clear()

    def _seconds(self, second: bytes, end: bytes) -> float:
        """Return a time in seconds from the start, at most `until`."""
        return min(_time(second, end[-1:] if end[-2:-1] == b"Z" else end, self._start), self._until)


@lru_cache(maxsize=256)
def _time(second: bytes, offset: bytes, start: datetime) -> float:
    """Return the seconds from the start to a second at an offset (a quote is UTC)."""
    try:
        time = datetime.fromisoformat(second.decode()).replace(tzinfo=timezone.utc)
        if offset != b'"':
            minutes = int(offset[1:3]) * 60 + int(offset[4:6])
            time -= timedelta(minutes=minutes if offset.startswith(b"+") else -minutes)
        return (time - start).total_seconds()
    except (ValueError, OverflowError):
        return 0.0  # a year that is none of datetime's counts in the present window
