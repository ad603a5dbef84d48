"""All metrics of one agent: counts what its rooms tell, asks the rest, and writes it all down.

The one module that knows Prometheus. It has a registry of its own, as an agent is no singleton. No
label has values from outside: neither jobs nor names nor URLs are among them. docs/operations.md
explains every metric, and a test compares the two.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from importlib.metadata import version
from typing import Protocol

import attrs
from prometheus_client import CollectorRegistry, Counter, Histogram, Info, ProcessCollector
from prometheus_client import disable_created_metrics as without_creation_times
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector as Source

from goloagent import VERSION
from goloagent.jobs.job import Job, State
from goloagent.metrics.job_counters import JobCounters
from goloagent.outputs.sink import Disposition, Response, Send
from goloagent.outputs.status import STATES

_LATE_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_PUSH_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_BATCH_BYTES = tuple(4**power * 1024 for power in range(6))
_BATCH_RESULTS = tuple(4**power for power in range(8))

_TOTALS = {
    "calls_started": "Calls made to load tests.",
    "calls_ok": "Calls that returned without an error.",
    "calls_failed": "Calls that returned with an error.",
    "results_read": "Lines of stdout that were read: valid and invalid.",
    "results_valid": "Lines that are results.",
    "results_invalid": "Lines that are no results.",
    "results_delivered": "Results that the collector has taken.",
    "results_rejected": "Results that the collector has refused for good.",
    "results_abandoned": "Results that were given up, or are gone from a log.",
}


class Clock(Protocol):
    """What tells how long a push took."""

    def seconds(self) -> float:
        """Return the time in seconds."""


@attrs.frozen
class Gauges:
    """What is asked anew for each exposition; where one raises OSError its metric is left out.

    Args:
        jobs: how many jobs of each state are on record.
        delivery: the worst state that the delivery of a job with results pending is in.
        log_bytes: how long a job's out.log is.
        free_bytes: how much may be written below each directory, by what it is for.
    """

    ready: Callable[[], bool]
    jobs: Callable[[], Mapping[State, int]]
    delivery: Callable[[], str]
    log_bytes: Callable[[Job], int]
    free_bytes: Callable[[], Mapping[str, int]]


class PrometheusExporter:
    """Counts what happens, from when it is made on."""

    def __init__(self, clock: Clock, now: Callable[[], datetime], present: Gauges) -> None:
        without_creation_times()
        self._clock = clock
        self.counters = JobCounters(clock.seconds, now)
        self._registry = registry = CollectorRegistry(auto_describe=False)
        Info("golo_agent_build", "What runs.", registry=registry).info(
            {
                "version": VERSION,
                "python": platform.python_version(),
                "twisted": version("twisted"),
            }
        )
        registry.register(_ScrapeCollector(self.counters, present))
        self._pushes = Counter(
            "golo_agent_pushes",
            "Batches sent to the collector, by what its answer means.",
            ["outcome"],
            registry=registry,
        )
        for verdict in Disposition:
            self._pushes.labels(verdict.value)
        self._push_seconds = Histogram(
            "golo_agent_push_duration_seconds",
            "From a batch's sending to the collector's answer, or to giving up.",
            buckets=_PUSH_SECONDS,
            registry=registry,
        )
        self._batch_bytes = Histogram(
            "golo_agent_batch_size_bytes",
            "The bodies that were sent to the collector.",
            buckets=_BATCH_BYTES,
            registry=registry,
        )
        self._batch_results = Histogram(
            "golo_agent_batch_results",
            "Results in a batch that the collector has taken.",
            buckets=_BATCH_RESULTS,
            registry=registry,
        )
        self._late_seconds = Histogram(
            "golo_agent_event_loop_lag_seconds",
            "How late the event loop comes to what is due, looked at ten times a second.",
            buckets=_LATE_SECONDS,
            registry=registry,
        )
        self._upload_bytes = Counter(
            "golo_agent_upload_bytes", "Bytes of uploads that came in.", registry=registry
        )
        self._refusals = Counter(
            "golo_agent_refusals",
            "Requests and connections that were refused, by the status of the answer.",
            ["status"],
            registry=registry,
        )
        self._sync_failures = Counter(
            "golo_agent_sync_failures",
            "Syncs that the disk failed; after the first the agent ends.",
            registry=registry,
        )
        ProcessCollector(registry=registry)

    def observe(self, job: Job) -> None:
        """Take in where a job stands; for each time that it is saved."""
        delivered = self.counters.update(job)["results_delivered"]
        if delivered:
            self._batch_results.observe(delivered)

    def instrument(self, push: Send) -> Send:
        """Return `push`, timed and counted."""

        async def measured_push(name: str, key: str, body: bytes) -> Response:
            begun = self._clock.seconds()
            answer = await push(name, key, body)
            self._push_seconds.observe(max(0.0, self._clock.seconds() - begun))
            self._batch_bytes.observe(len(body))
            self._pushes.labels(answer.disposition.value).inc()
            return answer

        return measured_push

    def observe_loop_lag(self, seconds: float) -> None:
        """Take in how late the event loop was."""
        self._late_seconds.observe(seconds)

    def count_upload_bytes(self, count: int) -> None:
        """Take in that so many bytes of an upload came."""
        self._upload_bytes.inc(count)

    def count_refusal(self, status: int) -> None:
        """Take in that a client was refused."""
        self._refusals.labels(str(status)).inc()

    def count_sync_failure(self) -> None:
        """Take in that the disk failed."""
        self._sync_failures.inc()

    def expose(self, accept: str) -> tuple[str, bytes]:
        """Return the content type that suits an ``Accept`` header, and all metrics in it."""
        self.counters.poll()
        try:
            encode, content_type = choose_encoder(accept)
            return content_type, encode(self._registry)
        except (TypeError, ValueError):  # the library's word for a version that is none
            encode, content_type = choose_encoder("")
            return content_type, encode(self._registry)


@attrs.frozen(eq=False)
class _ScrapeCollector(Source):
    """What is known without being counted here."""

    account: JobCounters
    present: Gauges

    def collect(self) -> Iterator[Metric]:
        account, present = self.account, self.present
        yield _gauge("ready", "1 when jobs are taken, else 0.", present.ready())
        for name, meaning in _TOTALS.items():
            yield CounterMetricFamily(f"golo_agent_{name}", meaning, value=account.totals[name])
        yield _gauge("calls_in_flight", "Calls that have not returned.", account.in_flight)
        yield _gauge("results_pending", "Results that wait for the collector.", account.pending)
        ended = CounterMetricFamily(
            "golo_agent_jobs_ended", "Jobs that came to their end.", labels=["state"]
        )
        for state in filter(lambda state: state.over, State):
            ended.add_metric([state.value], account.ended[state])
        yield ended
        yield _one_of(
            "delivery_state",
            "1 for the worst state of delivery that a job with results pending is in.",
            {state: state == present.delivery() for state in STATES},
            "state",
        )
        yield _gauge(
            "delivery_lag_seconds",
            "How long the oldest pending result has waited.",
            account.lag_seconds,
        )
        yield from _if_known(
            lambda: _gauge(
                "delivery_lag_bytes",
                "Output of load tests that delivery has before it.",
                account.lag_bytes(present.log_bytes),
            )
        )
        yield from _if_known(lambda: _one_of("jobs", "Jobs on record.", self._jobs(), "state"))
        yield from _if_known(
            lambda: _one_of(
                "disk_free_bytes",
                "What may be written below the directory.",
                present.free_bytes(),
                "directory",
            )
        )

    def _jobs(self) -> dict[str, float]:
        counts = self.present.jobs()
        return {state.value: counts.get(state, 0) for state in State}


def _if_known(make: Callable[[], Metric]) -> Iterator[Metric]:
    """Yield a metric whose source may be out of order: the others are then needed most."""
    try:
        yield make()
    except OSError:
        return


def _gauge(name: str, meaning: str, value: float) -> Metric:
    return GaugeMetricFamily(f"golo_agent_{name}", meaning, value=value)


def _one_of(name: str, meaning: str, values: Mapping[str, float], label: str) -> Metric:
    family = GaugeMetricFamily(f"golo_agent_{name}", meaning, labels=[label])
    for value, number in values.items():
        family.add_metric([value], number)
    return family
