"""The end of the agent by SIGTERM: exit 0, nothing pending, no process left, no job run twice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest_twisted
from peers.agent import Agent
from peers.collector import Collector
from peers.oracle import judge, numbers
from peers.target import Target


@pytest_twisted.ensureDeferred
async def test_idle(agent: Agent) -> None:
    """With nothing to do it ends at once, with 0, and can be started again."""
    assert await agent.stop() == 0
    await agent.start()
    assert await agent.stop() == 0


@pytest_twisted.ensureDeferred
async def test_with_a_running_job(
    agent: Agent, target: Target, collector: Collector, go_loadtest: Callable[..., Path]
) -> None:
    """The job is brought to its end and all that the target served is delivered first."""
    job_id = await agent.queue("running", go_loadtest("httpget", target=target.url), duration=600)
    await collector.received("running", 500)
    assert await agent.stop() == 0
    await agent.nothing_left()
    emitted = [str(number) for number in range(1, target.served + 1)]
    batches = [(batch.key, batch.ids) for batch in collector.batches("running")]
    verdict = judge(emitted, agent.run_log(job_id, "running").read_bytes(), batches)
    assert verdict.exact, verdict

    pushes = len(collector.pushes)
    await agent.start()
    job = await agent.job(job_id)
    assert (job["state"], job["reason"]) == ("interrupted", "agent-stopped"), job
    assert (job["results"]["delivered"], job["results"]["pending"]) == (target.served, 0)
    assert await agent.stop() == 0
    assert len(collector.pushes) == pushes, "what was delivered is sent again after the restart"


@pytest_twisted.ensureDeferred
async def test_with_queued_jobs(
    agent: Agent, collector: Collector, go_loadtest: Callable[..., Path]
) -> None:
    """What waits is kept and runs after the restart, in order; what ran is not run again."""
    binary = await agent.upload(go_loadtest("counter", count=10))
    running = await agent.queue("running", binary, duration=600)
    waiting = [await agent.queue(name, binary, duration=1) for name in ("second", "third")]
    await agent.reached(running, "running")
    assert await agent.stop() == 0

    await agent.start()
    jobs = [await agent.settled(job_id) for job_id in waiting]
    assert [job["state"] for job in jobs] == ["finished", "finished"]
    assert jobs[0]["ended_at"] <= jobs[1]["started_at"]
    assert (await agent.job(running))["state"] == "interrupted"
    assert [len(collector.results(name)) for name in ("running", "second", "third")] == [10] * 3


@pytest_twisted.ensureDeferred
async def test_while_the_collector_is_away(
    agent: Agent, collector: Collector, go_loadtest: Callable[..., Path]
) -> None:
    """What could not be delivered is kept, and delivered once after the restart."""
    await collector.close()
    job_id = await agent.queue("kept", go_loadtest("counter", count=300), duration=1)
    job = await agent.ended(job_id)
    assert (job["state"], job["results"]["pending"]) == ("finished", 300), job
    assert job["delivery"]["state"] == "retrying"
    assert await agent.stop() == 0

    collector.open()
    await agent.start()
    job = await agent.settled(job_id)
    assert (job["state"], job["results"]["delivered"]) == ("finished", 300), job
    log = agent.run_log(job_id, "kept").read_bytes()
    batches = [(batch.key, batch.ids) for batch in collector.batches("kept")]
    assert judge(list(numbers(log)), log, batches).exact
