"""R3: the last, partial batch is sent under its own job's name."""

from __future__ import annotations

from collections.abc import Callable

from peers.agent import Agent
from peers.collector import Collector
from peers.notes import Notes
from peers.oracle import Comparison

COUNTS = [0, 1, 255, 256, 257, 511, 512, 513, 100_003]


async def test_r3_as_many_are_delivered_as_were_printed(
    agent: Agent, collector: Collector, numbered: Notes, compare_results: Callable[..., Comparison]
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
