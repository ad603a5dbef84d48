"""A real Prometheus and VictoriaMetrics store each window of a timeline once, as the run had it."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from peers.prometheus import NATIVE, RECEIVER, Prometheus, QueryServer, VictoriaMetrics
from peers.sinks import Sinks

from goloagent.core.stats.histogram import Histogram
from goloagent.core.timeline import Times, Window
from goloagent.outputs.labels import RunLabels
from goloagent.outputs.seconds import Second, SecondsBatch, Totals
from goloagent.outputs.sink import Disposition, Response
from goloagent.outputs.sinks.prometheus.sink import PrometheusSink

RUN = RunLabels("id-1", "shop", "run-1", "agent-1", tags={"release": "1.4.2"})
LENGTH = 30
EACH = 2000

Starter = Callable[..., Awaitable[QueryServer]]


class Load:
    """A run of `LENGTH` seconds that ended just now, or at a time before."""

    def __init__(self, ago: timedelta = timedelta(), run: RunLabels = RUN) -> None:
        self.run = run
        self.start = datetime.now(timezone.utc) - timedelta(seconds=LENGTH) - ago
        self.whole = Histogram()
        self.seconds: list[Second] = []
        chance = random.Random(1)
        for at in range(LENGTH):
            durations = [int(chance.lognormvariate(0, 0.7) * 20e6) for _ in range(EACH)]
            second = Histogram()
            second.record(durations, self.whole)
            times = Times.of(second)
            window = Window(
                float(at),
                1.0,
                planned=EACH,
                scheduled=EACH,
                started=EACH,
                succeeded=EACH - 1,
                failed=1,
                results=EACH,
                errors=3,
                bytes=EACH * 10,
                duration=times,
                iteration=times,
            )
            self.seconds.append(Second(window, (at + 1) * 1000))

    @property
    def last(self) -> float:
        """The time of the last samples."""
        return self.start.timestamp() + LENGTH + 0.5

    def batch(self, first: int, end: int) -> SecondsBatch:
        """Return the batch of the windows from one to another; the last one ends the run."""
        before = Totals()
        for second in self.seconds[:first]:
            before.add(second.window)
        taken = tuple(self.seconds[first:end])
        return SecondsBatch(
            self.start, "open", first * 1000, taken, before, before.results, end == LENGTH
        )


SinkOf = Callable[..., PrometheusSink]


@pytest_twisted.async_yield_fixture
async def sink_of() -> AsyncIterator[SinkOf]:
    """Return the sink of an output to a server."""
    sinks = Sinks()

    def make(server: QueryServer, kind: str = "native") -> PrometheusSink:
        sink = sinks.make(f"metrics=prometheus+{server.url}?histograms={kind}")
        assert isinstance(sink, PrometheusSink)
        return sink

    yield make
    await sinks.close()


async def send(sink: PrometheusSink, load: Load, first: int = 0, end: int = LENGTH) -> Response:
    """Send windows."""
    return await sink.send(load.run, load.batch(first, end), first * EACH)


@pytest_twisted.async_yield_fixture
async def prometheus(tmp_path: Path) -> AsyncIterator[Starter]:
    """Start a Prometheus with some options."""
    started: list[QueryServer] = []

    async def start(*options: str) -> QueryServer:
        directory = tmp_path / f"prometheus-{len(started)}"
        directory.mkdir()
        started.append(Prometheus(directory, None, *options))
        await started[-1].reached("vector(1)", 1)
        return started[-1]

    yield start
    for one in started:
        await one.stop()


@pytest_twisted.async_yield_fixture
async def victoria(tmp_path: Path) -> AsyncIterator[QueryServer]:
    """Start a VictoriaMetrics."""
    server = VictoriaMetrics(tmp_path)
    await server.reached("vector(1)", 1)
    yield server
    await server.stop()


async def samples(server: QueryServer) -> dict[str, Any]:
    """Return all samples of all series, by their labels."""
    found = await server.result('{job="golo"}[1d]')
    return {
        str(sorted(one["metric"].items())): one.get("values", []) + one.get("histograms", [])
        for one in found
    }


async def assert_totals(server: QueryServer, load: Load) -> None:
    """Assert that the counters of the end are those of the load."""
    expected = {
        "golo_calls_scheduled_total": LENGTH * EACH,
        "golo_calls_started_total": LENGTH * EACH,
        "golo_calls_dropped_total": 0,
        "golo_calls_ok_total": LENGTH * (EACH - 1),
        "golo_calls_failed_total": LENGTH,
        "golo_results_total": LENGTH * EACH,
        "golo_result_errors_total": LENGTH * 3,
        "golo_result_bytes_total": LENGTH * EACH * 10,
        "golo_planned{model='open'}": EACH,
        "golo_calls_in_flight": 0,
        "sum(golo_limited)": 0,
        "count(golo_limited)": 9,
        "golo_lines_invalid_total{release='1.4.2',run='run-1',name='shop',instance='agent-1'}": 0,
    }
    found = {query: await server.value(query, load.last) for query in expected}
    assert found == expected


async def test_percentiles(prometheus: Starter, sink_of: SinkOf) -> None:
    """Those of native histograms are the agent's within 0.2 %; counts are the same."""
    server = await prometheus(RECEIVER, NATIVE)
    load = Load()
    for first in range(0, LENGTH, 10):
        response = await send(sink_of(server), load, first, first + 10)
        assert response.disposition is Disposition.DELIVERED, response
    await assert_totals(server, load)
    worst = 0.0
    for name in ("golo_duration_seconds", "golo_iteration_seconds"):
        assert await server.value(f"histogram_count({name})", load.last) == load.whole.count
        mean = await server.value(f"histogram_sum({name}) / histogram_count({name})", load.last)
        assert mean == pytest.approx(load.whole.total / load.whole.count / 1e9, rel=1e-4)
        for thousandth in (500, 900, 950, 990):
            query = f"histogram_quantile({thousandth / 1000}, {name})"
            found = await server.value(query, load.last)
            assert found is not None
            (expected,) = load.whole.quantiles(thousandth)
            worst = max(worst, abs(found / (expected / 1e9) - 1))
    print(f"percentiles by PromQL are at most {worst:.3%} from the agent's")
    assert worst <= 0.002


async def test_the_first_second_counts(prometheus: Starter, sink_of: SinkOf) -> None:
    """A rate over the first seconds is that of the load, and after the end there is nothing."""
    server = await prometheus(RECEIVER, NATIVE)
    load = Load()
    assert (await send(sink_of(server), load)).disposition is Disposition.DELIVERED
    begin = load.start.timestamp()
    for query in (
        "rate(golo_results_total[10s])",
        "histogram_count(rate(golo_duration_seconds[10s]))",
    ):
        assert await server.value(query, begin + 10) == pytest.approx(EACH, rel=0.001)
    for query in ("golo_results_total", "golo_calls_in_flight", "golo_duration_seconds"):
        assert await server.value(query, load.last + 1) is None
    assert await server.value("max_over_time(golo_results_total[1d])") == LENGTH * EACH


@pytest.mark.parametrize("stored", [1, 7, 29])
async def test_a_repeat_changes_nothing(prometheus: Starter, stored: int, sink_of: SinkOf) -> None:
    """After a repeat in any other parts, the samples are those of a single delivery."""
    server = await prometheus(RECEIVER, NATIVE)
    load, sink = Load(), sink_of(server)
    assert (await send(sink, load, 0, stored)).disposition is Disposition.DELIVERED
    # The windows sent last are sent again, with those that follow.
    for first in (max(0, stored - 3), 0, LENGTH - 1, LENGTH):
        response = await send(sink, load, first)
        assert response.disposition is Disposition.DELIVERED, response
    once = await prometheus(RECEIVER, NATIVE)
    assert (await send(sink_of(once), load)).disposition is Disposition.DELIVERED
    assert await samples(server) == await samples(once)
    await assert_totals(server, load)


async def test_two_jobs_share_no_series(prometheus: Starter, sink_of: SinkOf) -> None:
    """A second job of the same run and name, and another agent, have series of their own."""
    server = await prometheus(RECEIVER, NATIVE)
    for job, agent in (("id-1", "agent-1"), ("id-2", "agent-1"), ("id-3", "agent-2")):
        load = Load(run=RunLabels(job, "shop", "run-1", agent))
        assert (await send(sink_of(server), load)).disposition is Disposition.DELIVERED
    total = "sum(max_over_time(golo_results_total[1d]))"
    assert await server.value(total) == 3 * LENGTH * EACH
    assert await server.value("count(max_over_time(golo_results_total[1d]))") == 3


async def test_a_server_that_was_restarted(prometheus: Starter, sink_of: SinkOf) -> None:
    """A server that lost the end of its data gets what it does not have."""
    server = await prometheus(RECEIVER, NATIVE)
    load, sink = Load(), sink_of(server)
    assert (await send(sink, load, 0, 10)).disposition is Disposition.DELIVERED
    await server.stop()
    await server.start_again()
    assert (await send(sink, load, 5)).disposition is Disposition.DELIVERED
    await assert_totals(server, load)


async def test_wrong_settings(prometheus: Starter, sink_of: SinkOf) -> None:
    """A server without the receiver, or without native histograms, is said with its option."""
    load = Load()
    response = await send(sink_of(await prometheus()), load)
    assert response.disposition is Disposition.PAUSE
    assert RECEIVER in str(response)
    server = await prometheus(RECEIVER)
    response = await send(sink_of(server), load)
    assert response.disposition is Disposition.PAUSE
    assert NATIVE in str(response)
    classic = await send(sink_of(server, "classic"), load)
    assert classic.disposition is Disposition.DELIVERED
    await assert_totals(server, load)
    bucket = "golo_duration_seconds_bucket{le='+Inf'}"
    assert await server.value(bucket, load.last) == load.whole.count


async def test_samples_that_are_too_old(prometheus: Starter, sink_of: SinkOf) -> None:
    """Samples that a server does not take any more wait, with the setting to change."""
    server = await prometheus(RECEIVER, NATIVE)
    assert (await send(sink_of(server), Load())).disposition is Disposition.DELIVERED
    late = Load(timedelta(hours=3), RunLabels("id-2", "shop", "run-2", "agent-1"))
    response = await send(sink_of(server), late)
    assert response.disposition is Disposition.PAUSE
    assert "storage.tsdb.out_of_order_time_window" in str(response)


async def test_victoria_metrics(victoria: QueryServer, sink_of: SinkOf) -> None:
    """It has counts and classic histograms; a repeat changes nothing, and no age is too old."""
    load, sink = Load(), sink_of(victoria, "classic")
    old = Load(timedelta(hours=30), RunLabels("id-0", "shop", "run-0", "agent-1"))
    for first in (0, 0, 20, LENGTH):
        for one in (load, old):
            response = await send(sink, one, first)
            assert response.disposition is Disposition.DELIVERED, response
    await victoria.reached("max_over_time(golo_results_total{job_id='id-1'}[1d])", LENGTH * EACH)
    await assert_totals(victoria, load)
    query = "sum(golo_duration_seconds_bucket{le='+Inf'})"
    assert await victoria.value(query, load.last) == load.whole.count
    await victoria.reached("max_over_time(golo_results_total{job_id='id-0'}[2d])", LENGTH * EACH)
    assert await victoria.value("golo_results_total", old.last) == LENGTH * EACH
    count = "count_over_time(golo_results_total{job_id='id-1'}[1d])"
    assert await victoria.value(count, load.last) == LENGTH + 1
    (expected,) = load.whole.quantiles(950)
    found = await victoria.value(
        "histogram_quantile(0.95, golo_duration_seconds_bucket)", load.last
    )
    assert found is not None
    # In the same bucket; the interpolation in it is an estimate.
    assert 0.05 < expected / 1e9 < 0.1
    assert 0.05 < found < 0.1
