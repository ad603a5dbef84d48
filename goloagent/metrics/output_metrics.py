"""The metrics of each output, by its name: pushes as they happen, the rest for each exposition.

The labels are the outputs that the agent has, so their number is bounded by the options.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import attrs
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector as Source

from goloagent.metrics.job_counters import JobCounters
from goloagent.outputs.sink import Disposition, Response
from goloagent.outputs.status import HOLDING, RETRYING, STATES

_BATCH_BYTES = tuple(4**power * 1024 for power in range(6))
_BATCH_RESULTS = tuple(4**power for power in range(8))
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_TOTALS = {
    "delivered": "Results that the output has accepted.",
    "rejected": "Results that the output has rejected.",
    "abandoned": "Results that were abandoned, or are missing from a log.",
}


@attrs.frozen
class OutputStates:
    """Functions called for each exposition, which return a state for each output.

    Attributes:
        backends: whether the backend accepts results.
        deliveries: the worst state among the runs with pending results.
    """

    backends: Callable[[], Mapping[str, str]] = dict
    deliveries: Callable[[], Mapping[str, str]] = dict


class CollectorMetrics:
    """The pushes to the collector, under the names that they had before other outputs."""

    def __init__(self, common: Mapping[str, Any]) -> None:
        text = "Batches sent to the collector, by the classification of its response."
        self._pushes = Counter("pushes", text, ["outcome"], **common)
        for disposition in Disposition:
            self._pushes.labels(disposition.value)
        text = "From sending a batch to the collector's response, or to the time-out."
        self._seconds = Histogram("push_duration_seconds", text, buckets=_BUCKETS, **common)
        text = "The sizes of bodies sent to the collector."
        self._bytes = Histogram("batch_size_bytes", text, buckets=_BATCH_BYTES, **common)
        text = "Results in a delivered batch."
        self.results = Histogram("batch_results", text, buckets=_BATCH_RESULTS, **common)

    def pushed(self, response: Response, seconds: float, size_bytes: int) -> None:
        """Count a push."""
        self._seconds.observe(seconds)
        self._bytes.observe(size_bytes)
        self._pushes.labels(response.disposition.value).inc()


class OutputMetrics:
    """The pushes to the outputs `names`, each from 0 on."""

    def __init__(self, registry: CollectorRegistry, names: Sequence[str]) -> None:
        common: dict[str, Any] = {"namespace": "golo_agent", "registry": registry}
        self.collector = CollectorMetrics(common)
        text = "Batches sent to the output, by the classification of its response."
        self._pushes = Counter("output_pushes", text, ["output", "outcome"], **common)
        text = "From sending a batch to the output's response, or to the time-out."
        self._seconds = Histogram(
            "output_push_seconds", text, ["output"], buckets=_BUCKETS, **common
        )
        for name in names:
            self._seconds.labels(name)
            for disposition in Disposition:
                self._pushes.labels(name, disposition.value)

    def pushed(self, name: str, response: Response, seconds: float) -> None:
        """Count a push."""
        self._seconds.labels(name).observe(seconds)
        self._pushes.labels(name, response.disposition.value).inc()


@attrs.frozen(eq=False)
class OutputCollector(Source):
    """Exposes the counts, the lag and the states of the outputs `names`."""

    counters: JobCounters
    names: Sequence[str]
    states: OutputStates

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics."""
        for kind, text in _TOTALS.items():
            total = CounterMetricFamily(f"golo_agent_output_{kind}", text, labels=["output"])
            for name in self.names:
                total.add_metric([name], self.counters.output_totals[name, kind])
            yield total
        pending = {name: self.counters.pending_of(name) for name in self.names}
        yield self._gauge("pending", "Results that are not delivered to the output yet.", pending)
        lag = {name: self.counters.lag_of(name) for name in self.names}
        yield self._gauge("lag_seconds", "The age of the oldest pending result.", lag)
        backends = self.states.backends()
        up = {name: backends.get(name) not in (RETRYING, HOLDING) for name in self.names}
        yield self._gauge("up", "0 if the output accepts no results, else 1.", up)
        deliveries = self.states.deliveries()
        family = GaugeMetricFamily(
            "golo_agent_output_state",
            "1 for the worst delivery state of jobs with pending results.",
            labels=["output", "state"],
        )
        for name in self.names:
            for state in STATES:
                family.add_metric([name, state], deliveries.get(name, STATES[0]) == state)
        yield family

    def _gauge(self, name: str, text: str, values: Mapping[str, float]) -> Metric:
        family = GaugeMetricFamily(f"golo_agent_output_{name}", text, labels=["output"])
        for output, value in values.items():
            family.add_metric([output], value)
        return family
