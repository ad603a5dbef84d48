"""The windows of timelines as rows of counts, of whose sums the figures of runs are computed."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate, chain
from math import ceil

from attrs import frozen

from goloagent.report.comparison.measures import ERRORS, FAILED, PERCENTILES, RATE, TIMES, share
from goloagent.report.model import WindowReport, WindowTimes

_MS = 1000
_COUNTS = ("results", "errors", "started", "failed")
_FIRST = 1 + len(_COUNTS)
_NS = 1e9


@frozen
class Layout:
    """The places of the counts: milliseconds, `_COUNTS`, then buckets of each of `TIMES`.

    Args:
        spans: the first bucket of each, and the one after its last.
    """

    spans: tuple[range, ...]

    @classmethod
    def of(cls, windows: Sequence[WindowReport]) -> Layout:
        """Return one with all buckets of the windows."""
        return cls(tuple(_span([getattr(window, times) for window in windows]) for times in TIMES))

    def counts(self, window: WindowReport) -> list[int]:
        """Return the counts of a window."""
        counts = [round(window.seconds * _MS), *(getattr(window, name) for name in _COUNTS)]
        for times, span in zip(TIMES, self.spans, strict=True):
            buckets = [0] * len(span)
            for bucket, count in _buckets(getattr(window, times)):
                buckets[bucket - span.start] = count
            counts += buckets
        return counts

    def figures(self, counts: Sequence[int]) -> dict[str, float]:
        """Return the figures of the sums of counts, by the names of measures."""
        milliseconds, results, failures, started, failed = counts[:_FIRST]
        figures = {
            RATE.name: share(results * _MS, milliseconds),
            ERRORS.name: share(failures, results),
            FAILED.name: share(failed, started),
        }
        start = _FIRST
        for times, span in zip(TIMES, self.spans, strict=True):
            sums = list(accumulate(counts[start : start + len(span)], initial=0))
            start += len(span)
            for name, quantile in PERCENTILES.items():
                figures[f"{times} {name}"] = _quantile(sums, quantile, span.start)
        return {name: figure for name, figure in figures.items() if figure is not None}


def coarsened(run: Sequence[list[int]], factor: int) -> list[list[int]]:
    """Return rows of counts with `factor` of them as one; a rest that is shorter is left out."""
    if factor == 1:
        return list(run)
    return [
        list(map(sum, zip(*run[start : start + factor], strict=True)))
        for start in range(0, len(run) - factor + 1, factor)
    ]


def _span(times: Sequence[WindowTimes | None]) -> range:
    known = list(chain.from_iterable(_buckets(one) for one in times))
    return range(min(known)[0], max(known)[0] + 1) if known else range(0)


def _buckets(times: WindowTimes | None) -> Iterator[tuple[int, int]]:
    """Yield each bucket that has values, with its count."""
    if times is None:
        return
    bucket = times.first
    for count in times.counts:
        if count > 0:
            yield bucket, count
        bucket += max(1, -count)


def _quantile(sums: Sequence[int], quantile: float, first: int) -> float | None:
    """Return a quantile in seconds, interpolated within its bucket.

    Args:
        sums: of all buckets before each of them, and of all.
        first: the number of the first bucket.
    """
    if not sums[-1]:
        return None
    rank = ceil(quantile * sums[-1])
    place = bisect_left(sums, rank) - 1
    within = (rank - sums[place]) / (sums[place + 1] - sums[place])
    low, high = _start(first + place), _start(first + place + 1)
    return (low + within * (high - low)) / _NS


def _start(bucket: int) -> int:
    """Return the least value of a bucket, in nanoseconds; see `WindowTimes`."""
    return 32 * bucket if bucket < 32 else (32 + bucket % 32) << (bucket // 32 + 4)
