"""An agent with outputs of metrics: what its backends have is what its runs had (O5)."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_twisted
from integration.test_remote_write import samples
from peers.agent import Agent
from peers.otlp_receiver import OtlpReceiver
from peers.programs import Builder
from peers.prometheus import NATIVE, RECEIVER, Prometheus
from twisted.internet import reactor, task

TOTAL = "sum(max_over_time(golo_results_total{{job_id='{}'}}[1d]))"


@pytest_twisted.async_yield_fixture
async def prometheus(idle_agent: Agent, tmp_path: Path) -> AsyncIterator[Prometheus]:
    """Start a Prometheus, and the agent with an output to it."""
    directory = tmp_path / "prometheus"
    directory.mkdir()
    server = Prometheus(directory, None, RECEIVER, NATIVE)
    await server.reached("vector(1)", 1)
    idle_agent.more += ("--output", f"prom=prometheus+{server.url}")
    yield server
    await server.stop()


@pytest_twisted.async_yield_fixture
async def receiver(idle_agent: Agent) -> AsyncIterator[OtlpReceiver]:
    """Run a receiver of OTLP, to which the agent has an output."""
    receiver = OtlpReceiver()
    idle_agent.more += ("--output", f"otel=otlp+{receiver.url}")
    yield receiver
    await receiver.close()


async def delivered(agent: Agent, job_id: str, *outputs: str) -> None:
    """Wait until outputs have everything of a job, and check their accounts (O8)."""
    for _ in range(600):
        job = await agent.job(job_id)
        if all(job["outputs"][name]["complete"] for name in outputs):
            break
        await task.deferLater(reactor, 0.1)
    for name in outputs:
        one = job["outputs"][name]
        account = [one[part] for part in ("delivered", "rejected", "pending", "abandoned")]
        assert account == [job["results"]["valid"], 0, 0, 0], (name, one)
        assert (one["unit"], one["state"], one["complete"]) == ("second", "ok", True), (name, one)


def results_of(agent: Agent, job_id: str, name: str) -> int:
    """Return the number of results in the log of a job."""
    log = agent.run_log(job_id, name).read_bytes()
    return sum(b'"timestamp"' in line for line in log.splitlines(keepends=True))


async def last_time(server: Prometheus, job_id: str) -> float:
    """Return the time of the last sample of a run."""
    (series,) = await server.result(f"golo_results_total{{job_id='{job_id}'}}[1d]")
    return float(series["values"][-1][0])


async def test_a_run(
    idle_agent: Agent, prometheus: Prometheus, receiver: OtlpReceiver, go_loadtest: Builder
) -> None:
    """Counts are those of the log, and percentiles are the agent's within 0.2 %."""
    agent = idle_agent
    await agent.start()
    job_id = await agent.queue("spread", go_loadtest("spread"), duration=6, users=60)
    job = await agent.settled(job_id)
    await delivered(agent, job_id, "prom", "otel")
    stats = (await agent.request("GET", f"/jobs/{job_id}/stats")).json
    results, calls = results_of(agent, job_id, "spread"), job["calls"]
    at = await last_time(prometheus, job_id)
    expected = {
        "golo_results_total": results,
        "histogram_count(golo_duration_seconds)": results,
        "histogram_count(golo_iteration_seconds)": calls["ok"] + calls["failed"],
        "golo_calls_started_total": calls["started"],
        "golo_calls_ok_total": calls["ok"],
        "golo_result_errors_total": stats["errors"],
        "golo_calls_in_flight": calls["in_flight"],
    }
    assert {query: await prometheus.value(query, at) for query in expected} == expected
    assert receiver.newest("golo.results") == results
    assert receiver.newest("golo.duration")[0] == results
    assert receiver.newest("golo.calls.started") == calls["started"]
    worst = 0.0
    for name, latency in (
        ("golo_duration_seconds", stats["latency"]),
        ("golo_iteration_seconds", stats["calls"]["iteration"]),
    ):
        for percentile in (50, 95, 99):
            query = f"histogram_quantile({percentile / 100}, {name})"
            found = await prometheus.value(query, at)
            assert found is not None
            worst = max(worst, abs(found / latency[f"p{percentile}"] - 1))
    print(f"percentiles of {results} results by PromQL are within {worst:.3%} of the agent's")
    assert worst <= 0.002


async def test_o5_kills(
    idle_agent: Agent, prometheus: Prometheus, receiver: OtlpReceiver, go_loadtest: Builder
) -> None:
    """After kills and outages each backend has all results of the log, and no sample changed."""
    agent = idle_agent
    await agent.start()
    binary = await agent.upload(go_loadtest("spread"))
    for outage in (False, True):
        job_id = await agent.queue("killed", binary, duration=600, users=60)
        # The first windows are stored.
        await prometheus.reached(f"count(golo_results_total{{job_id='{job_id}'}} > 5000)", 1)
        if outage:
            await prometheus.stop()
        # A request is stored and not answered: its windows are sent again.
        receiver.unanswered, receiver.answers = 0, False
        await receiver.stored()
        await agent.kill()
        receiver.answers = True
        if outage:
            await prometheus.start_again()
        before = await samples(prometheus)
        await agent.start()
        await delivered(agent, job_id, "prom", "otel")
        results = results_of(agent, job_id, "killed")
        assert await prometheus.value(TOTAL.format(job_id)) == results
        assert receiver.newest("golo.results", job_id=job_id) == results
        after = await samples(prometheus)
        for labels, values in before.items():
            assert after[labels][: len(values)] == values, labels
    assert receiver.repeated
    print(f"O5: {receiver.repeated} data points were repeated, and none had other values")


async def test_a_run_without_a_timeline(
    idle_agent: Agent, prometheus: Prometheus, go_loadtest: Builder
) -> None:
    """A run whose timeline was lost is delivered with what its results say."""
    agent = idle_agent
    await agent.start()
    await prometheus.stop()
    job_id = await agent.queue("lost", go_loadtest("spread"), duration=2, users=40)
    await agent.ended(job_id)
    await agent.stop()
    timeline = agent.run_log(job_id, "lost", "timeline.jsonl")
    assert json.loads(timeline.read_text().splitlines()[0])["version"] == 1
    shutil.move(timeline, timeline.with_suffix(".gone"))
    await prometheus.start_again()
    await agent.start()
    await delivered(agent, job_id, "prom")
    results = results_of(agent, job_id, "lost")
    assert results > 1000
    assert await prometheus.value(TOTAL.format(job_id)) == results


async def test_programs_without_results(
    idle_agent: Agent, prometheus: Prometheus, tmp_path: Path
) -> None:
    """A program that fails, or cannot be executed, leaves nothing to deliver."""
    agent = idle_agent
    await agent.start()
    unknown = tmp_path / "unknown"
    unknown.write_text("#!/nowhere/interpreter\n")
    for program in (Path(shutil.which("false") or "/bin/false"), unknown):
        job_id = await agent.queue("failing", program, duration=1)
        await agent.settled(job_id)
        await delivered(agent, job_id, "prom")
