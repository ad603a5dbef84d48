"""The WriteRequest of Prometheus remote write 1.0 for a batch of windows. Pure.

The messages are those of ``prometheus.WriteRequest`` in prompb. Counters and histograms have a
sample of zero at the start of the load, so that rates include the first second, and each series
ends with a stale marker, so that its last value is not continued.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from enum import Enum
from itertools import accumulate
from math import ceil, log2

from goloagent.concurrency.steps import Steps
from goloagent.core.protobuf import double, message, number, packed_signed, signed, text
from goloagent.core.stats.cumulative_histogram import SCHEMA, CumulativeHistogram
from goloagent.core.stats.native_histogram import BOUNDS, ZERO_THRESHOLD
from goloagent.core.timeline import Window
from goloagent.outputs.metric_table import COUNTERS, DISTRIBUTIONS, GAUGES
from goloagent.outputs.seconds import SecondsBatch, Totals

STALE_AFTER_MS = 1000
"""When series end after the last window: graphs with a step of a second show its values."""

STALE: float = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))[0]
"""The NaN that ends a series."""

_NATIVE_NAMES = frozenset(f"golo_{metric.name}_seconds" for metric in DISTRIBUTIONS)
# The last bucket of our schema that counts for each bound, and the text of the bound.
_BOUNDS = [(ceil(log2(bound) * (1 << SCHEMA)), f"{bound:g}") for bound in BOUNDS]

_Key = tuple[str, str, str]
"""The name of a series, and a further label and its value."""
_Sample = tuple[_Key, bytes]


class Histograms(str, Enum):
    """The kinds of histograms that are written."""

    NATIVE = "native"
    CLASSIC = "classic"
    BOTH = "both"


def write_request(
    batch: SecondsBatch, labels: Mapping[str, str], kind: Histograms = Histograms.NATIVE
) -> Steps[bytes]:
    """Return the message of a batch, in steps of a window. Samples of a series are in order."""
    start = round(batch.start.timestamp() * 1000)
    series: dict[_Key, list[bytes]] = {}

    def add(samples: Iterator[_Sample]) -> None:
        for key, sample in samples:
            series.setdefault(key, []).append(sample)

    if batch.is_first:
        add(_cumulative(Totals(), start, kind))
    for second, totals in batch.totals():
        add(_cumulative(totals, start + second.end, kind))
        add(_levels(second.window, batch.model, start + second.end))
        yield
    if batch.is_last:
        add(_stale_markers(batch.model, start + batch.end + STALE_AFTER_MS, kind))
    return b"".join(
        message(1, _labels(key, labels) + b"".join(samples)) for key, samples in series.items()
    )


def _cumulative(totals: Totals, at: int, kind: Histograms) -> Iterator[_Sample]:
    for counter in COUNTERS:
        name = f"golo_{counter.name.replace('.', '_')}_total"
        yield (name, "", ""), _float(counter.value(totals), at)
    for distribution in DISTRIBUTIONS:
        histogram, name = distribution.value(totals), f"golo_{distribution.name}_seconds"
        if kind is not Histograms.CLASSIC:
            yield (name, "", ""), _native(histogram, at)
        if kind is not Histograms.NATIVE:
            for bound, count in _classic(histogram):
                yield (f"{name}_bucket", "le", bound), _float(count, at)
            yield (f"{name}_count", "", ""), _float(histogram.count, at)
            yield (f"{name}_sum", "", ""), _float(histogram.sum, at)


def _levels(window: Window, model: str, at: int) -> Iterator[_Sample]:
    for gauge in GAUGES:
        for value, level in gauge.values(window, model).items():
            yield (f"golo_{gauge.name.replace('.', '_')}", gauge.label, value), _float(level, at)


def _stale_markers(model: str, at: int, kind: Histograms) -> Iterator[_Sample]:
    """Yield the end of each series."""
    for key, _ in (*_cumulative(Totals(), at, kind), *_levels(Window(0.0, 0.0), model, at)):
        if key[0] in _NATIVE_NAMES:
            yield key, message(4, double(3, STALE) + number(15, at))
        else:
            yield key, _float(STALE, at)


def _float(value: float, at: int) -> bytes:
    """Return a sample."""
    return message(2, double(1, value) + number(2, at))


def _native(histogram: CumulativeHistogram, at: int) -> bytes:
    """Return a sample of a native histogram."""
    native = histogram.buckets().native()
    return message(
        4,
        number(1, histogram.count)
        + double(3, histogram.sum)
        + signed(4, native.schema)
        + double(5, ZERO_THRESHOLD)
        + number(6, native.zero_count)
        + b"".join(
            message(11, signed(1, offset) + number(2, length)) for offset, length in native.spans
        )
        + (packed_signed(12, native.deltas) if native.deltas else b"")
        + number(15, at),
    )


def _classic(histogram: CumulativeHistogram) -> Iterator[tuple[str, int]]:
    """Yield each bound and how many durations are at most as long."""
    buckets = histogram.buckets()
    ends = sorted(buckets.counts)
    counts = (buckets.counts[end] for end in ends)
    sums = list(accumulate(counts, initial=buckets.zero_count))
    for last, bound in _BOUNDS:
        yield bound, sums[bisect_right(ends, last)]
    yield "+Inf", histogram.count


def _labels(key: _Key, labels: Mapping[str, str]) -> bytes:
    """Return the labels of a series, in their order."""
    name, label, value = key
    own = {"__name__": name, **labels, **({label: value} if label else {})}
    return b"".join(message(1, text(1, one) + text(2, own[one])) for one in sorted(own))
