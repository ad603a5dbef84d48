"""R3: the last, partial batch is sent under its own job's name."""

from __future__ import annotations

from peers.agent import Agent
from peers.collector import Collector
from peers.notes import Notes
from peers.oracle import Comparing
from peers.programs import Builder

COUNTS = [0, 1, 255, 256, 257, 4095, 4096, 4097, 100_003]


async def test_r3_as_many_are_delivered_as_were_printed(
    agent: Agent, collector: Collector, numbered: Notes, compare_results: Comparing
) -> None:
    """Two consecutive jobs of each size deliver their own results without an empty batch."""
    queued = []
    for count in COUNTS:
        binary = await agent.upload(numbered.script(count=count))
        for name in (f"first-{count}", f"second-{count}"):
            queued.append((count, name, await agent.queue(name, binary, duration=0)))
    wrong = 0
    for count, name, job_id in queued:
        job = await agent.settled(job_id, timeout_seconds=120)
        assert job["state"] == "finished", job
        results = job["results"]
        assert (results["read"], results["invalid"], results["delivered"]) == (count, 0, count)
        assert compare_results(job_id, name).exact
        wrong += len(collector.results(name)) != count
    assert {batch.name: batch.span[0] for batch in collector.pushes} == {
        name: job_id for count, name, job_id in queued if count
    }
    assert all(batch.count for batch in collector.pushes), "an empty batch was sent"
    assert {batch.headers["content-type"] for batch in collector.pushes} == {"application/json"}
    print(f"R3: two jobs each of {COUNTS} results: {wrong} with another number delivered")
    assert wrong == 0


async def test_r3_results_do_not_wait_for_a_full_batch(
    agent: Agent, collector: Collector, go_loadtest: Builder
) -> None:
    """A few results are delivered while their job runs."""
    job_id = await agent.queue("few", go_loadtest("counter", count=3), duration=30)
    await agent.reached(job_id, "running")
    await collector.received("few", 3, timeout_seconds=25)
    assert (await agent.job(job_id))["state"] == "running"
