"""A real Prometheus reads the load from the agent as the agent's own statistics have it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from peers.agent import Agent
from peers.programs import Builder
from peers.prometheus import Prometheus

NATIVE = "--enable-feature=native-histograms"
RESULTS = "golo_agent_result_duration_seconds"
ITERATIONS = "golo_agent_iteration_duration_seconds"

Starter = Callable[..., Awaitable[Prometheus]]


@pytest_twisted.async_yield_fixture
async def prometheus(agent: Agent, tmp_path: Path) -> AsyncIterator[Starter]:
    """Start a Prometheus with some options, and wait until it has scraped the agent."""
    started: list[Prometheus] = []

    async def start(*options: str) -> Prometheus:
        directory = tmp_path / "prometheus"
        directory.mkdir()
        started.append(Prometheus(directory, agent.port, *options))
        await started[-1].reached("up", 1)
        return started[-1]

    yield start
    for one in started:
        await one.stop()


async def loaded(agent: Agent, go_loadtest: Builder) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run a load test whose durations vary; return the job and its statistics."""
    job = await agent.settled(await agent.queue("spread", go_loadtest("spread"), duration=4))
    answer = await agent.request("GET", f"/jobs/{job['id']}/stats")
    assert answer.status == 200, answer
    assert job["results"]["valid"] > 1000
    return job, answer.json


async def test_native_histograms(agent: Agent, prometheus: Starter, go_loadtest: Builder) -> None:
    """Quantiles are those of the statistics within 1 %, counts and sums are the same."""
    server = await prometheus(NATIVE)
    job, stats = await loaded(agent, go_loadtest)
    await server.reached(f"histogram_count({RESULTS})", stats["results"])
    assert await server.value(f"{RESULTS}_count") is None
    calls = job["calls"]
    await server.reached(f"histogram_count({ITERATIONS})", calls["ok"])
    for name, latency in ((RESULTS, stats["latency"]), (ITERATIONS, stats["calls"]["iteration"])):
        for quantile in (50, 90, 95):
            found = await server.value(f"histogram_quantile({quantile / 100}, {name})")
            assert found == pytest.approx(latency[f"p{quantile}"], rel=0.01), (name, quantile)
        mean = await server.value(f"histogram_sum({name}) / histogram_count({name})")
        assert mean == pytest.approx(latency["mean"], rel=1e-6)
    # The counts may be those of a scrape before the end of the job.
    await server.reached("golo_agent_last_job_passed", float(job["verdict"]["passed"]))
    values = {
        "golo_agent_calls_scheduled_total": calls["scheduled"],
        "golo_agent_calls_started_total": calls["started"],
        "golo_agent_calls_dropped_total": 0,
        "golo_agent_result_errors_total": stats["errors"],
        "golo_agent_planned_users": 0,
        "max_over_time(golo_agent_planned_users[1m])": 25,
        "max_over_time(golo_agent_planned_rate[1m])": 0,
        "golo_agent_last_job_passed": job["verdict"]["passed"],
        "golo_agent_build_info": 1,
        "golo_agent_ready": 1,
    }
    assert {query: await server.value(query) for query in values} == values
    assert stats["errors"] == stats["results"] // 10


async def test_classic_histograms(agent: Agent, prometheus: Starter, go_loadtest: Builder) -> None:
    """Without the feature, Prometheus reads the buckets, which count what the log has."""
    server = await prometheus()
    job, _ = await loaded(agent, go_loadtest)
    lines = agent.run_log(job["id"], "spread").read_text().splitlines()
    durations = [json.loads(line)["duration"] for line in lines]
    await server.reached(f"{RESULTS}_count", len(durations))
    assert await server.value(f"histogram_count({RESULTS})") is None
    for le in (0.0025, 0.005, 0.01, 0.025, 0.05):
        found = await server.value(f'{RESULTS}_bucket{{le="{le}"}}')
        assert found is not None
        short = [sum(duration <= le * 1e9 * more for duration in durations) for more in (1, 1.002)]
        assert short[0] <= found <= short[1]
    assert await server.value(f"{RESULTS}_bucket{{le='+Inf'}}") == len(durations)
    assert await server.value(f"{RESULTS}_sum") == pytest.approx(sum(durations) / 1e9)


async def test_metrics_go_on_over_jobs(
    agent: Agent, prometheus: Starter, go_loadtest: Builder
) -> None:
    """A second job is added, and nothing is reset; dropped calls and a rate are there."""
    server = await prometheus(NATIVE)
    binary = await agent.upload(go_loadtest("spread"))
    one = await agent.settled(await agent.queue("one", binary, duration=2, users=5))
    await server.reached(f"histogram_count({RESULTS})", one["results"]["valid"])
    two = await agent.settled(
        await agent.queue(
            "two",
            binary,
            load={
                "start": 500,
                "stages": [{"rate": 500, "duration": 3}],
                "max_in_flight": 2,
            },
        )
    )
    both = one["results"]["valid"] + two["results"]["valid"]
    await server.reached(f"histogram_count({RESULTS})", both)
    assert two["calls"]["dropped"] > 0
    values = {
        f"resets({RESULTS}[2m])": 0,
        "resets(golo_agent_calls_scheduled_total[2m])": 0,
        "golo_agent_calls_dropped_total": two["calls"]["dropped"],
        "golo_agent_calls_scheduled_total": one["calls"]["scheduled"] + two["calls"]["scheduled"],
        "max_over_time(golo_agent_planned_users[2m])": 5,
        "max_over_time(golo_agent_planned_rate[2m])": 500,
        "golo_agent_planned_rate": 0,
    }
    assert {query: await server.value(query) for query in values} == values
