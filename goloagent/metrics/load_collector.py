"""The metrics of the load itself, for each exposition."""

from __future__ import annotations

from collections.abc import Iterator

import attrs
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector as Source
from prometheus_client.utils import floatToGoString

from goloagent.core.stats.histogram import Histogram
from goloagent.core.stats.native_histogram import BOUNDS, NANOSECONDS, classic, native
from goloagent.load.generator_limits import CAUSES
from goloagent.metrics.load_metrics import LoadMetrics

_BUCKETS = [floatToGoString(bound) for bound in (*BOUNDS, float("inf"))]


class DurationFamily(HistogramMetricFamily):
    """A histogram of seconds with classic buckets, and the same one as `native`."""

    def __init__(self, name: str, help_text: str, histogram: Histogram) -> None:
        counts = map(float, classic(histogram))
        super().__init__(name, help_text)
        self.add_metric([], list(zip(_BUCKETS, counts, strict=True)), histogram.total / NANOSECONDS)
        self.native = native(histogram)


@attrs.frozen(eq=False)
class LoadCollector(Source):
    """Exposes the totals of `load`."""

    load: LoadMetrics

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics."""
        load = self.load
        yield GaugeMetricFamily(
            "golo_agent_planned_users",
            "Users that the running job plans for now; 0 in the open model.",
            value=load.planned.get("closed", 0.0),
        )
        yield GaugeMetricFamily(
            "golo_agent_planned_rate",
            "Iterations per second that the running job plans for now; 0 in the closed model.",
            value=load.planned.get("open", 0.0),
        )
        yield CounterMetricFamily(
            "golo_agent_result_errors",
            "Results with an error, or with a status that is one.",
            value=load.errors,
        )
        yield GaugeMetricFamily(
            "golo_agent_generator_limited",
            "1 if the load generator was the limit in the last second of load, else 0.",
            value=load.is_limited,
        )
        limited = CounterMetricFamily(
            "golo_agent_generator_limited_seconds",
            "How long the load generator was the limit, by cause.",
            labels=["cause"],
        )
        for cause in CAUSES:
            limited.add_metric([cause], load.limited_seconds[cause])
        yield limited
        yield DurationFamily(
            "golo_agent_result_duration_seconds", "The durations of results.", load.durations
        )
        yield DurationFamily(
            "golo_agent_iteration_duration_seconds",
            "The durations of calls, from the intended start to the return.",
            load.iterations,
        )
