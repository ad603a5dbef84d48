"""The statistics of several agents as those of one: counts added, histograms merged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import reduce
from typing import Any, TypeVar

from msgspec import structs

from goloagent.core.stats.histogram import Histogram
from goloagent.core.stats.summary import (
    ErrorSummary,
    Latency,
    OtherSummary,
    RowSummary,
    Summary,
    UrlSummary,
)
from goloagent.report.model import CountedLatency, Latencies

MAX_ERRORS = 100
MAX_ROWS = 500
MAX_NAME_CHARS = 100_000
"""Of the methods and URLs of all rows, so that a report stays small; the rest is in `other`."""

_Row = TypeVar("_Row", RowSummary, UrlSummary)
_Table = tuple[list[_Row], "OtherSummary | None"]


def latencies(stats: Sequence[Summary]) -> Latencies:
    """Return the times of all results and calls, with their histograms."""
    calls = [one.calls for one in stats]
    return Latencies(
        duration=_counted([one.latency for one in stats]),
        iteration=_counted([one.iteration for one in calls]),
        service=_counted([one.service for one in calls]),
        schedule_lag=_counted([one.schedule_lag for one in calls]),
    )


def rate(stats: Sequence[Summary]) -> float | None:
    """Return the results a second from the first to the last timestamp, or None."""
    if len(stats) == 1:
        return stats[0].rate
    firsts = [one.first for one in stats if one.first is not None]
    lasts = [one.last for one in stats if one.last is not None]
    seconds = (max(lasts) - min(firsts)).total_seconds() if firsts and lasts else 0.0
    return sum(one.results for one in stats) / seconds if seconds > 0 else None


def rows(stats: Sequence[Summary]) -> _Table[RowSummary]:
    """Return the rows of all, the first ones of them, and the others together."""
    merged = _merged(
        (row for one in stats for row in one.rows), lambda row: (row.method, row.url, row.status)
    )
    return _bounded(merged, [one.other for one in stats])


def urls(stats: Sequence[Summary]) -> _Table[UrlSummary]:
    """Return the URLs of all, the first ones of them, and the others together."""
    merged = _merged((url for one in stats for url in one.urls), lambda url: url.url)
    return _bounded(merged, [one.other_urls for one in stats])


def errors(stats: Sequence[Summary]) -> tuple[list[ErrorSummary], int]:
    """Return the most frequent errors, and the number of the others."""
    counts: dict[ErrorSummary, int] = {}
    for error in (error for one in stats for error in one.errors_by_reason):
        key = structs.replace(error, count=0)
        counts[key] = counts.get(key, 0) + error.count
    found = sorted(counts.items(), key=lambda item: -item[1])
    top = [structs.replace(key, count=count) for key, count in found[:MAX_ERRORS]]
    others = sum(count for _, count in found[MAX_ERRORS:])
    return top, others + sum(one.other_errors for one in stats)


def _histogram(latencies: Iterable[Latency | None]) -> Histogram:
    histogram = Histogram()
    for latency in latencies:
        if latency is not None:
            histogram.merge(latency.decoded())
    return histogram


def _counted(latencies: Sequence[Latency | None]) -> CountedLatency | None:
    known = [latency for latency in latencies if latency is not None]
    histogram = _histogram(known)
    merged = known[0] if len(known) == 1 else Latency.of(histogram, encoded=True)
    if merged is None:
        return None
    return CountedLatency(count=histogram.count, **structs.asdict(merged))


def _merged(all_rows: Iterable[_Row], key: Callable[[_Row], Any]) -> list[_Row]:
    groups: dict[Any, list[_Row]] = {}
    for row in all_rows:
        groups.setdefault(key(row), []).append(row)
    merged = [group[0] if len(group) == 1 else _sum(group) for group in groups.values()]
    return sorted(merged, key=lambda row: -row.results)


def _sum(group: Sequence[Any]) -> Any:
    """Return rows, URLs or others as one of them."""
    results, failed = sum(one.results for one in group), sum(one.errors for one in group)
    members: dict[str, Any] = {
        "results": results,
        "errors": failed,
        "bytes": sum(one.bytes for one in group),
        "latency": Latency.of(_histogram(one.latency for one in group)),
    }
    if isinstance(group[0], UrlSummary):
        members["error_share"] = failed / results if results else 0.0
        members["method"] = reduce(lambda a, b: a if a == b else None, (u.method for u in group))
    return structs.replace(group[0], **members)


def _bounded(merged: list[_Row], others: Sequence[OtherSummary | None]) -> _Table[_Row]:
    shown: list[_Row] = []
    chars = 0
    for row in merged[:MAX_ROWS]:
        chars += len(row.url)
        if chars > MAX_NAME_CHARS:
            break
        shown.append(_bare(row))
    rest = [other for other in others if other is not None]
    rest += [
        OtherSummary(results=row.results, errors=row.errors, bytes=row.bytes, latency=row.latency)
        for row in merged[len(shown) :]
    ]
    return shown, _bare(_sum(rest) if len(rest) > 1 else rest[0]) if rest else None


def _bare(row: Any) -> Any:
    """Return a row without its histogram."""
    if row.latency is None or row.latency.histogram is None:
        return row
    return structs.replace(row, latency=structs.replace(row.latency, histogram=None))
