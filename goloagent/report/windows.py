"""The timelines of several agents as one, in fewer intervals with histograms of wider buckets."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any

from goloagent.core.stats.hdr import sparse, value_at
from goloagent.report.model import WindowReport, WindowTimes

MAX_WINDOWS = 600
MAX_NUMBERS = 360_000
"""Of all histograms; they take about 3 bytes each."""
_PLACES_PER_BUCKET = 32
_COUNTS = (
    "scheduled", "started", "dropped", "succeeded", "failed",
    "results", "errors", "bytes", "invalid",
)  # fmt: skip
_NS = 1e9


def merge(
    timelines: Sequence[Sequence[Mapping[str, Any]]], rest: Callable[[], None] = lambda: None
) -> list[WindowReport]:
    """Return intervals of equal length with the windows of all agents, aligned by second.

    They are longer if their histograms had more than `MAX_NUMBERS` numbers.

    Args:
        timelines: of each agent the windows of ``GET /jobs/<id>/timeline?histograms=hdr``.
        rest: is called after each histogram, a fraction of a millisecond.

    Raises:
        ValueError: a histogram is no encoding of one.
    """
    end = max((window["at"] + window["seconds"] for one in timelines for window in one), default=0)
    length = max(1, math.ceil(end / MAX_WINDOWS - 0.01))
    while True:
        merged = _intervals(timelines, length, rest)
        if _numbers(merged) <= MAX_NUMBERS:
            return merged
        length *= 2


def _intervals(
    timelines: Sequence[Sequence[Mapping[str, Any]]], length: int, rest: Callable[[], None]
) -> list[WindowReport]:
    cells: dict[int, list[list[Mapping[str, Any]]]] = {}
    for number, windows in enumerate(timelines):
        for window in windows:
            # A window begins some milliseconds before or after its second.
            cell = int((window["at"] + window["seconds"] / 2) / length)
            agents = cells.setdefault(cell, [[] for _ in timelines])
            agents[number].append(window)
    return [_interval([agent for agent in cells[cell] if agent], rest) for cell in sorted(cells)]


def _numbers(merged: Iterable[WindowReport]) -> int:
    times = [times for one in merged for times in (one.duration, one.iteration)]
    return sum(len(one.counts) for one in times if one is not None)


def _interval(
    agents: Sequence[Sequence[Mapping[str, Any]]], rest: Callable[[], None]
) -> WindowReport:
    """Return the interval of windows, which each agent has at least one of."""
    windows = [window for agent in agents for window in agent]
    counts = {name: sum(window[name] for window in windows) for name in _COUNTS}
    return WindowReport(
        at=min(agent[0]["at"] for agent in agents),
        seconds=round(max(sum(window["seconds"] for window in agent) for agent in agents), 3),
        planned=sum(agent[-1]["planned"] for agent in agents),
        in_flight=sum(agent[-1]["in_flight"] for agent in agents),
        max_in_flight=sum(max(w["max_in_flight"] for w in agent) for agent in agents),
        duration=_times([window["duration"] for window in windows], rest),
        iteration=_times([window["iteration"] for window in windows], rest),
        limited=sorted({cause for window in windows for cause in window["limited"]}),
        **counts,
    )


def _times(
    times: Iterable[Mapping[str, Any] | None], rest: Callable[[], None]
) -> WindowTimes | None:
    known = [one for one in times if one is not None]
    if not known:
        return None

    def encodings() -> Iterator[str]:
        for one in known:
            yield one["histogram"]
            rest()

    ordered = sparse(encodings())
    ends = list(accumulate(count for _, count in ordered))
    total = ends[-1]
    if len(known) == 1:
        p50, p95, p99 = (known[0][name] for name in ("p50", "p95", "p99"))
    else:
        p50, p95, p99 = (
            value_at(ordered[bisect_left(ends, math.ceil(total * share))][0]) / _NS
            for share in (0.5, 0.95, 0.99)
        )
    first, counts = _buckets(ordered)
    return WindowTimes(
        p50=_short(p50),
        p95=_short(p95),
        p99=_short(p99),
        max=_short(max(one["max"] for one in known)),
        count=total,
        first=first,
        counts=counts,
    )


def _buckets(places: Iterable[tuple[int, int]]) -> tuple[int, list[int]]:
    """Return the first bucket, and the counts from there on; see `WindowTimes`."""
    buckets: Counter[int] = Counter()
    for place, count in places:
        buckets[place // _PLACES_PER_BUCKET] += count
    first = following = min(buckets)
    counts: list[int] = []
    for bucket in sorted(buckets):
        if bucket > following:
            counts.append(following - bucket)
        counts.append(buckets[bucket])
        following = bucket + 1
    return first, counts


def _short(seconds: float) -> float:
    """Return a time with the digits that a histogram has."""
    return float(f"{seconds:.4g}")
