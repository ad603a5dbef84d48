"""The ExportMetricsServiceRequest of OTLP 1.x for a batch of windows. Pure.

All sums and histograms are cumulative from the start of the load, at which they have a data point
of zero. Streams end with a data point without a value, which Prometheus takes for a stale marker.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AGGREGATION_TEMPORALITY_CUMULATIVE,
    DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK,
)

from goloagent import VERSION
from goloagent.concurrency.steps import Steps
from goloagent.core.stats.cumulative_histogram import SCHEMA, CumulativeHistogram
from goloagent.core.stats.native_histogram import ZERO_THRESHOLD
from goloagent.core.timeline import Window
from goloagent.outputs.labels import RunLabels
from goloagent.outputs.metric_table import COUNTERS, DISTRIBUTIONS, GAUGES
from goloagent.outputs.seconds import SecondsBatch, Totals

END_AFTER_MS = 1000
"""When streams end after the last window."""

MAX_VALUE_CHARS = 1024
_NS_PER_MS = 1_000_000
# The attributes of data points that no tag replaces.
_RESERVED = frozenset({"run", "name", "job_id", "model", "cause"})


def point_attributes(run: RunLabels) -> dict[str, str]:
    """Return the attributes that all data points of a run have, so that no two share a stream."""
    tags = {(f"tag.{tag}" if tag in _RESERVED else tag): value for tag, value in run.tags.items()}
    own = {"run": run.run, "name": run.name, "job_id": run.job}
    return {name: value[:MAX_VALUE_CHARS] for name, value in {**tags, **own}.items()}


def export_request(run: RunLabels, batch: SecondsBatch) -> Steps[ExportMetricsServiceRequest]:
    """Return the message of a batch, in steps of a window. Data points are in the order of time."""
    request = ExportMetricsServiceRequest()
    points = _Points(request, run, batch)
    if batch.is_first:
        points.add_totals(Totals(), 0)
    for second, totals in batch.totals():
        points.add_totals(totals, second.end)
        points.add_levels(second.window, second.end)
        yield
    if batch.is_last:
        points.add_end(batch.end + END_AFTER_MS)
    return request


class _Points:
    """The data points of a request, by the name of the metric."""

    def __init__(
        self, request: ExportMetricsServiceRequest, run: RunLabels, batch: SecondsBatch
    ) -> None:
        resource = request.resource_metrics.add()
        # No further attribute: Prometheus would make target_info of it, one series for all runs.
        _set(
            resource.resource.attributes,
            {"service.name": "golo", "service.instance.id": run.agent},
        )
        scope = resource.scope_metrics.add()
        scope.scope.name, scope.scope.version = "golo-agent", VERSION
        self._attributes = point_attributes(run)
        self._model = batch.model
        self._start = round(batch.start.timestamp() * 1000) * _NS_PER_MS
        self._sums = {one.name: _metric(scope, one, one.unit).sum for one in COUNTERS}
        self._levels = {one.name: _metric(scope, one, one.unit).gauge for one in GAUGES}
        self._histograms = {
            one.name: _metric(scope, one, "s").exponential_histogram for one in DISTRIBUTIONS
        }
        for one in (*self._sums.values(), *self._histograms.values()):
            one.aggregation_temporality = AGGREGATION_TEMPORALITY_CUMULATIVE
        for one in self._sums.values():
            one.is_monotonic = True

    def add_totals(self, totals: Totals, at: int) -> None:
        """Add the counts and histograms at a time in milliseconds from the start."""
        for counter in COUNTERS:
            point = self._point(self._sums[counter.name], at)
            point.as_int = counter.value(totals)
        for distribution in DISTRIBUTIONS:
            point = self._point(self._histograms[distribution.name], at)
            _fill(point, distribution.value(totals))

    def add_levels(self, window: Window, at: int) -> None:
        """Add the levels at a time."""
        for gauge in GAUGES:
            for value, level in gauge.values(window, self._model).items():
                point = self._point(self._levels[gauge.name], at, {gauge.label: value})
                point.as_double = level

    def add_end(self, at: int) -> None:
        """End all streams at a time."""
        for point in self._all(at):
            point.flags = DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK

    def _all(self, at: int) -> Iterator[Any]:
        """Add a data point to each stream."""
        for data in (*self._sums.values(), *self._histograms.values()):
            yield self._point(data, at)
        for gauge in GAUGES:
            for value in gauge.values(Window(0.0, 0.0), self._model):
                yield self._point(self._levels[gauge.name], at, {gauge.label: value})

    def _point(self, data: Any, at: int, further: Mapping[str, str] | None = None) -> Any:
        point = data.data_points.add()
        point.start_time_unix_nano = self._start
        point.time_unix_nano = self._start + at * _NS_PER_MS
        _set(point.attributes, {**self._attributes, **(further or {})})
        return point


def _metric(scope: Any, one: Any, unit: str) -> Any:
    metric = scope.metrics.add()
    metric.name, metric.description, metric.unit = f"golo.{one.name}", one.description, unit
    return metric


def _fill(point: Any, histogram: CumulativeHistogram) -> None:
    """Set the buckets of a data point."""
    point.count, point.sum = histogram.count, histogram.sum
    buckets = histogram.buckets()
    point.scale, point.zero_count = SCHEMA, buckets.zero_count
    point.zero_threshold = ZERO_THRESHOLD
    if buckets.counts:
        first, last = min(buckets.counts), max(buckets.counts)
        # Ours are numbered by where they end, those of OpenTelemetry by where they begin.
        point.positive.offset = first - 1
        get = buckets.counts.get
        point.positive.bucket_counts.extend(get(bucket, 0) for bucket in range(first, last + 1))


def _set(attributes: Any, values: Mapping[str, str]) -> None:
    for name, value in values.items():
        if name and value:
            attribute = attributes.add()
            attribute.key, attribute.value.string_value = name, value
