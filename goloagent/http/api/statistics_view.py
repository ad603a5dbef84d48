"""Views of statistics: the rows and URLs that a client wants, with or without histograms."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, TypeVar

from msgspec import Meta, Struct, structs

from goloagent.core.stats.request_stats import MAX_ROWS
from goloagent.core.stats.summary import (
    CallsSummary,
    Latency,
    OtherSummary,
    RowSummary,
    Summary,
    UrlSummary,
)
from goloagent.http.api.timeline import Histograms


class Sort(str, Enum):
    """The figure by which rows and URLs are sorted; `status` leaves URLs as they are."""

    METHOD = "method"
    URL = "url"
    STATUS = "status"
    RESULTS = "results"
    ERRORS = "errors"
    BYTES = "bytes"
    P50 = "p50"
    P95 = "p95"
    P99 = "p99"
    MAX = "max"


_Row = TypeVar("_Row", RowSummary, UrlSummary)
_HasLatency = TypeVar("_HasLatency", RowSummary, UrlSummary, OtherSummary, Summary)
_OF_LATENCY = frozenset({Sort.P50, Sort.P95, Sort.P99, Sort.MAX})


class Order(str, Enum):
    """The order of the rows and URLs."""

    DESCENDING = "desc"
    ASCENDING = "asc"


class StatisticsQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Which rows to show, and how."""

    rows: Annotated[
        int, Meta(ge=0, le=MAX_ROWS, description="how many rows and how many URLs at most")
    ] = MAX_ROWS
    sort: Sort = Sort.RESULTS
    order: Order = Order.DESCENDING
    histograms: Annotated[
        Histograms | None, Meta(description="add the histogram of each latency")
    ] = None


class Statistics(Summary, frozen=True, kw_only=True):
    """The statistics of a run with the requested rows, of `rows_total`, and URLs alike."""

    rows_total: int
    urls_total: int


def view(summary: Summary, query: StatisticsQuery) -> Statistics:
    """Return the rows and URLs of a query, without histograms unless it wants them."""
    rows, urls = _shown(summary.rows, query), _shown(summary.urls, query)
    other, other_urls, calls = summary.other, summary.other_urls, summary.calls
    if query.histograms is None:
        summary = _plain(summary)
        rows, urls = [_plain(row) for row in rows], [_plain(url) for url in urls]
        other, other_urls = other and _plain(other), other_urls and _plain(other_urls)
        calls = CallsSummary(
            iteration=_bare(calls.iteration),
            service=_bare(calls.service),
            schedule_lag=_bare(calls.schedule_lag),
        )
    members = {name: getattr(summary, name) for name in Summary.__struct_fields__} | {
        "rows": rows,
        "urls": urls,
        "other": other,
        "other_urls": other_urls,
        "calls": calls,
    }
    return Statistics(**members, rows_total=len(summary.rows), urls_total=len(summary.urls))


def _shown(rows: list[_Row], query: StatisticsQuery) -> list[_Row]:
    """Return the first rows in the order of a query; those without the figure come last."""

    def figure(row: _Row) -> int | float | str | None:
        source = row.latency if query.sort in _OF_LATENCY else row
        value: int | float | str | None = getattr(source, query.sort.value, None)
        return value

    known = [row for row in rows if figure(row) is not None]
    unknown = [row for row in rows if figure(row) is None]
    # The sort is stable: equal rows stay in the order of the most results.
    known.sort(key=figure, reverse=query.order is Order.DESCENDING)  # type: ignore[arg-type]
    return (known + unknown)[: query.rows]


def _plain(summary: _HasLatency) -> _HasLatency:
    return structs.replace(summary, latency=_bare(summary.latency))


def _bare(latency: Latency | None) -> Latency | None:
    """Return a latency without its histogram."""
    if latency is None or latency.histogram is None:
        return latency
    return structs.replace(latency, histogram=None)
