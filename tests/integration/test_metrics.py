"""The metrics of a real agent follow Prometheus's rules, agree with the API, and never decrease."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from peers.agent import Agent
from peers.collector import Collector
from peers.exposition import complaints, samples
from peers.programs import Builder
from twisted.internet import reactor, task
from twisted.internet.utils import getProcessOutputAndValue

OPERATIONS = Path(__file__).parents[2] / "docs/operations.md"


async def scraped(agent: Agent) -> dict[str, float]:
    """Return every sample by its name and labels."""
    answer = await agent.request("GET", "/metrics")
    assert answer.status == 200, answer
    assert complaints(answer.text) == []
    return samples(answer.text)


async def promtool(*arguments: str, stdin: bytes = b"") -> None:
    """Assert that promtool finds no fault; skip without promtool."""
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("there is no promtool (Debian: prometheus): its checks are left out")
    out, err, code = await getProcessOutputAndValue(
        program, arguments, reactor=reactor, stdinBytes=stdin
    )
    assert (code, err) == (0, b""), out + err


async def test_counters_are_sums_of_jobs(agent: Agent, go_loadtest: Builder) -> None:
    """After each job the counters are the sums of all jobs, and the gauges are at rest."""
    binary = await agent.upload(go_loadtest("counter", count=500, spoil="yes"))
    sums: dict[str, int] = {}
    for number in range(1, 3):
        job = await agent.settled(await agent.queue(f"job{number}", binary, duration=1))
        for kind in ("calls", "results"):
            for name, count in job[kind].items():
                sums[f"{kind}_{name}"] = sums.get(f"{kind}_{name}", 0) + count
        found = await scraped(agent)
        gauges = {"calls_in_flight", "results_pending"}
        totals = {f"golo_agent_{name}_total": sums[name] for name in sums.keys() - gauges}
        assert {name: found[name] for name in totals} == totals
        assert found["golo_agent_results_pending"] == found["golo_agent_calls_in_flight"] == 0
        assert found['golo_agent_jobs_ended_total{state="finished"}'] == number
        assert found['golo_agent_jobs{state="finished"}'] == number
    assert sums["results_delivered"] == 900
    assert found["golo_agent_batch_results_sum"] == 900
    pushes = found['golo_agent_pushes_total{outcome="taken"}']
    assert pushes == found["golo_agent_push_duration_seconds_count"] > 0
    size = go_loadtest("counter", count=500, spoil="yes").stat().st_size
    assert size < found["golo_agent_upload_bytes_total"] < size + 1000
    assert found["golo_agent_event_loop_lag_seconds_count"] > 10
    assert found["process_resident_memory_bytes"] > 10e6


async def test_the_lag_of_an_outage(
    agent: Agent, collector: Collector, go_loadtest: Builder
) -> None:
    """Undelivered results show as pending, in bytes, in seconds and as a state."""
    collector.answer = lambda push: 503
    job_id = await agent.queue("away", go_loadtest("counter", count=400), duration=1)
    await agent.ended(job_id)
    while (found := await scraped(agent))["golo_agent_delivery_lag_seconds"] < 2:
        await task.deferLater(reactor, 0.2)
    log = agent.run_log(job_id, "away").stat().st_size
    assert found["golo_agent_results_pending"] == 400
    assert found["golo_agent_delivery_lag_bytes"] == log
    assert found['golo_agent_delivery_state{state="retrying"}'] == 1
    assert found['golo_agent_pushes_total{outcome="retry"}'] > 0
    # After a restart counters begin at 0, and the lag continues.
    await agent.kill()
    await agent.start()
    while (found := await scraped(agent))["golo_agent_results_pending"] < 400:
        await task.deferLater(reactor, 0.1)
    assert found["golo_agent_results_valid_total"] == 0
    assert found["golo_agent_delivery_lag_seconds"] > 2
    collector.answer = lambda push: 200
    await agent.settled(job_id)
    found = await scraped(agent)
    assert found["golo_agent_results_delivered_total"] == 400
    assert found["golo_agent_delivery_lag_seconds"] == 0
    assert found["golo_agent_delivery_lag_bytes"] == 0
    assert found['golo_agent_delivery_state{state="ok"}'] == 1


async def test_an_interrupted_job_is_counted_once(agent: Agent, go_loadtest: Builder) -> None:
    """The start after a kill counts the interrupted job and its verdict; the next one does not."""
    job_id = await agent.queue("shop", go_loadtest("counter", count=10**9), duration=60)
    await agent.reached(job_id, "running")
    await agent.kill()
    for count in (1, 0):
        await agent.start()
        await agent.settled(job_id)
        found = await scraped(agent)
        assert found['golo_agent_jobs_ended_total{state="interrupted"}'] == count
        assert found.get("golo_agent_last_job_passed") == (0 if count else None)
        assert await agent.stop() == 0


async def test_promtool(agent: Agent) -> None:
    """`promtool check metrics` accepts the exposition."""
    answer = await agent.request("GET", "/metrics")
    await promtool("check", "metrics", stdin=answer.text.encode())


async def test_every_metric_is_in_the_docs(agent: Agent) -> None:
    """docs/operations.md has a row for each metric of a real agent, and no other."""
    text = (await agent.request("GET", "/metrics")).text
    exposed = set(re.findall(r"^# TYPE (golo_agent_\w+)", text, re.MULTILINE))
    rows = re.findall(r"^\| `(golo_agent_\w+)", OPERATIONS.read_text(), re.MULTILINE)
    assert exposed == set(rows)


async def test_protections_in_health(idle_agent: Agent) -> None:
    """The protections are those of the options."""
    idle_agent.require_token()
    idle_agent.options["--min-free"] = "5MiB"
    await idle_agent.start()
    protections = (await idle_agent.request("GET", "/health")).json["protections"]
    assert protections.pop("processes")
    assert protections.pop("files") in {"landlock", "owner"}
    assert protections == {
        "run_as": idle_agent.options["--run-as"],
        "token": True,
        "min_free_bytes": 5 * 1024 * 1024,
    }
