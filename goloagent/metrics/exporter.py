"""All metrics of one agent, in the formats of Prometheus: text, OpenMetrics and protobuf.

No label has a job, a name or a URL, so that the number of series is bounded.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from importlib.metadata import version
from typing import Any, Protocol

import attrs
from prometheus_client import CollectorRegistry, Counter, Histogram, Info, ProcessCollector
from prometheus_client import disable_created_metrics as without_creation_times
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector as Source

from goloagent import VERSION
from goloagent.core.output_schemes import COLLECTOR
from goloagent.jobs.job import Job, State
from goloagent.metrics import protobuf
from goloagent.metrics.job_counters import JobCounters
from goloagent.metrics.load_collector import LoadCollector
from goloagent.metrics.load_metrics import LoadMetrics
from goloagent.metrics.output_metrics import OutputCollector, OutputMetrics, OutputStates
from goloagent.outputs.sink import Response, Send
from goloagent.outputs.status import STATES

_LATE_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)

_TOTALS = {
    "calls_scheduled": "Calls that were due: those made and those dropped.",
    "calls_started": "Calls made to load tests.",
    "calls_dropped": "Calls that were due and not made.",
    "calls_ok": "Calls that returned without an error.",
    "calls_failed": "Calls that returned with an error.",
    "results_read": "Lines of stdout, valid and invalid.",
    "results_valid": "Valid lines of stdout, which are results.",
    "results_invalid": "Invalid lines of stdout.",
    "results_delivered": "Results that the collector has accepted.",
    "results_rejected": "Results that the collector has rejected.",
    "results_abandoned": "Results that were abandoned, or are missing from a log.",
}


class Clock(Protocol):
    """The source of time."""

    def seconds(self) -> float:
        """Return the time in seconds."""


@attrs.frozen
class Gauges:
    """Functions called for each exposition; the metric of one that raises OSError is omitted.

    Attributes:
        jobs: the number of recorded jobs of each state.
        delivery: the worst delivery state of jobs with pending results.
        log_bytes: the length of a job's out.log.
        free_bytes: the free bytes of each directory, by its purpose.
        outputs: the states of the outputs.
    """

    ready: Callable[[], bool]
    jobs: Callable[[], Mapping[State, int]]
    delivery: Callable[[], str]
    log_bytes: Callable[[Job], int]
    free_bytes: Callable[[], Mapping[str, int]]
    outputs: OutputStates = attrs.Factory(OutputStates)


class PrometheusExporter:
    """Counts events from its creation on; `gauges` are read for each exposition.

    Args:
        outputs: the names of the agent's outputs.
    """

    def __init__(
        self,
        clock: Clock,
        now: Callable[[], datetime],
        gauges: Gauges,
        outputs: Sequence[str] = (COLLECTOR,),
    ) -> None:
        without_creation_times()
        self._clock = clock
        self.counters = JobCounters(clock.seconds, now)
        self.load = LoadMetrics()
        self._registry = registry = CollectorRegistry(auto_describe=False)
        common: dict[str, Any] = {"namespace": "golo_agent", "registry": registry}
        Info("build", "Versions of the agent and its platform.", **common).info(
            {
                "version": VERSION,
                "python": platform.python_version(),
                "twisted": version("twisted"),
            }
        )
        registry.register(_ScrapeCollector(self.counters, gauges))
        registry.register(LoadCollector(self.load))
        registry.register(OutputCollector(self.counters, outputs, gauges.outputs))
        self._outputs = OutputMetrics(registry, outputs)
        text = "The delay of the event loop, measured ten times a second."
        self._late_seconds = Histogram(
            "event_loop_lag_seconds", text, buckets=_LATE_SECONDS, **common
        )
        self._upload_bytes = Counter("upload_bytes", "Received bytes of uploads.", **common)
        text = "Refused requests and connections, by status."
        self._refusals = Counter("refusals", text, ["status"], **common)
        text = "Failed syncs of the disk; the agent exits after the first."
        self._sync_failures = Counter("sync_failures", text, **common)
        ProcessCollector(registry=registry)

    def observe(self, job: Job) -> None:
        """Update the counters with a job; to be called whenever it is saved."""
        delivered = self.counters.update(job)["results_delivered"]
        if delivered:
            self._outputs.collector.results.observe(delivered)

    def instrument(self, push: Send, output: str = COLLECTOR) -> Send:
        """Return `push`, timed and counted for an output."""

        async def measured_push(job: Job, batch: Any, ordinal: int) -> Response:
            start = self._clock.seconds()
            answer = await push(job, batch, ordinal)
            seconds = max(0.0, self._clock.seconds() - start)
            self._outputs.pushed(output, answer, seconds)
            if output == COLLECTOR:
                self._outputs.collector.pushed(answer, seconds, batch.body_bytes)
            return answer

        return measured_push

    def observe_loop_lag(self, seconds: float) -> None:
        """Observe the delay of the event loop."""
        self._late_seconds.observe(seconds)

    def count_upload_bytes(self, count: int) -> None:
        """Count received bytes of an upload."""
        self._upload_bytes.inc(count)

    def count_refusal(self, status: int) -> None:
        """Count a refusal, by its status."""
        self._refusals.labels(str(status)).inc()

    def count_sync_failure(self) -> None:
        """Count a failed sync."""
        self._sync_failures.inc()

    def expose(self, accept: str) -> tuple[str, bytes]:
        """Return a content type for an ``Accept`` header, and all metrics in that format."""
        self.counters.poll()
        if protobuf.is_preferred(accept):
            return protobuf.CONTENT_TYPE, protobuf.encode(self._registry.collect())
        try:
            encode, content_type = choose_encoder(accept)
            return content_type, encode(self._registry)
        except (TypeError, ValueError):  # the header has an invalid version
            encode, content_type = choose_encoder("")
            return content_type, encode(self._registry)


@attrs.frozen(eq=False)
class _ScrapeCollector(Source):
    """The counters of jobs and the gauges."""

    counters: JobCounters
    gauges: Gauges

    def collect(self) -> Iterator[Metric]:
        counters, gauges = self.counters, self.gauges
        yield _gauge("ready", "1 if the agent accepts jobs, else 0.", gauges.ready())
        for name, help_text in _TOTALS.items():
            yield CounterMetricFamily(f"golo_agent_{name}", help_text, value=counters.totals[name])
        yield _gauge("calls_in_flight", "Calls that have not returned.", counters.in_flight)
        yield _gauge("results_pending", "Results that are not delivered yet.", counters.pending)
        ended = CounterMetricFamily(
            "golo_agent_jobs_ended", "Jobs that ended, by state.", labels=["state"]
        )
        for state in filter(lambda state: state.over, State):
            ended.add_metric([state.value], counters.ended[state])
        yield ended
        passed = GaugeMetricFamily(
            "golo_agent_last_job_passed",
            "1 if the job that ended last has passed, 0 if it has failed, missing before.",
        )
        if counters.last_judged is not None and counters.last_judged.verdict is not None:
            passed.add_metric([], counters.last_judged.verdict.passed)
        yield passed
        yield _labelled(
            "delivery_state",
            "1 for the worst delivery state of jobs with pending results.",
            {state: state == gauges.delivery() for state in STATES},
            "state",
        )
        yield _gauge(
            "delivery_lag_seconds",
            "The age of the oldest pending result.",
            counters.lag_seconds,
        )
        yield from _if_known(
            lambda: _gauge(
                "delivery_lag_bytes",
                "Output of load tests that is not delivered yet.",
                counters.lag_bytes(gauges.log_bytes),
            )
        )
        yield from _if_known(lambda: _labelled("jobs", "Jobs on record.", self._jobs(), "state"))
        yield from _if_known(
            lambda: _labelled(
                "disk_free_bytes",
                "Free bytes of the directory.",
                gauges.free_bytes(),
                "directory",
            )
        )

    def _jobs(self) -> dict[str, float]:
        counts = self.gauges.jobs()
        return {state.value: counts.get(state, 0) for state in State}


def _if_known(make: Callable[[], Metric]) -> Iterator[Metric]:
    """Yield a metric, unless its source raises OSError."""
    try:
        yield make()
    except OSError:
        return


def _gauge(name: str, help_text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"golo_agent_{name}", help_text, value=value)


def _labelled(name: str, help_text: str, values: Mapping[str, float], label: str) -> Metric:
    family = GaugeMetricFamily(f"golo_agent_{name}", help_text, labels=[label])
    for value, number in values.items():
        family.add_metric([value], number)
    return family
