"""Exactly what was printed is delivered, to the name of the job that printed it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import pytest_twisted
from peers.agent import Agent
from peers.collector import Batch, Collector


def numbers(count: int) -> list[str]:
    """Return the numbers that a load test gives to this many results."""
    return [str(number) for number in range(1, count + 1)]


def read_by_key(agent: Agent, batch: Batch) -> tuple[str, list[object]]:
    """Return the job id in a batch's key and the results in the bytes of out.log that it names."""
    assert batch.key is not None
    job_id, span = batch.key.split("/")
    first, last = map(int, span.split("-"))
    log = agent.run_log(job_id, batch.name).read_bytes()
    return job_id, [json.loads(line) for line in log[first : last + 1].splitlines()]


@pytest.mark.parametrize("count", [0, 1, 255, 256, 257, 1000])
@pytest_twisted.ensureDeferred
async def test_as_many_are_delivered_as_were_printed(
    agent: Agent, collector: Collector, go_loadtest: Callable[..., Path], count: int
) -> None:
    """Two jobs back to back deliver each its results, in order, under its own name and key."""
    binary = await agent.upload(go_loadtest("counter", count=count))
    first = await agent.queue("first", binary, duration=1)
    second = await agent.queue("second", binary, duration=1)
    for name, job_id in [("first", first), ("second", second)]:
        job = await agent.settled(job_id)
        assert job["state"] == "finished", job
        counts = job["results"]
        assert (counts["read"], counts["invalid"], counts["delivered"]) == (count, 0, count)
        batches = collector.batches(name)
        assert [number for batch in batches for number in batch.ids] == numbers(count)
        assert all(batch.results for batch in batches), "an empty batch was sent"
        assert all(batch.headers["content-type"] == "application/json" for batch in batches)
        for batch in batches:
            assert read_by_key(agent, batch) == (job_id, batch.results)
    assert collector.names == ({"first", "second"} if count else set())


@pytest_twisted.ensureDeferred
async def test_bad_lines_cost_only_themselves(
    agent: Agent, collector: Collector, go_loadtest: Callable[..., Path]
) -> None:
    """With every tenth line spoilt the others are delivered in order, and those are counted."""
    job_id = await agent.queue(
        "spoilt", go_loadtest("counter", count=1000, spoil="yes"), duration=1
    )
    job = await agent.settled(job_id)
    assert job["state"] == "finished", job
    counts = job["results"]
    assert (counts["read"], counts["invalid"], counts["delivered"]) == (1000, 100, 900)
    delivered = [result["sequenceID"] for result in collector.results("spoilt")]
    assert delivered == [number for number in numbers(1000) if not number.endswith("0")]


@pytest_twisted.ensureDeferred
async def test_results_do_not_wait_for_a_full_batch(
    agent: Agent, collector: Collector, go_loadtest: Callable[..., Path]
) -> None:
    """A few results are delivered about a second later, while their job goes on."""
    job_id = await agent.queue("few", go_loadtest("counter", count=3), duration=30)
    await agent.reached(job_id, "running")
    await collector.received("few", 3, timeout_seconds=5)
    assert (await agent.job(job_id))["state"] == "running"
