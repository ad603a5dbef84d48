"""Results are delivered soon and in order; promises/ tests exact counts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from peers.agent import Agent
from peers.collector import Collector


def numbers(count: int) -> list[str]:
    """Return the numbers of this many results."""
    return [str(number) for number in range(1, count + 1)]


async def test_invalid_lines(
    agent: Agent, collector: Collector, go_loadtest: Callable[..., Path]
) -> None:
    """Every tenth line is invalid: the others are delivered in order, and those are counted."""
    job_id = await agent.queue(
        "spoilt", go_loadtest("counter", count=1000, spoil="yes"), duration=1
    )
    job = await agent.settled(job_id)
    assert job["state"] == "finished", job
    counts = job["results"]
    assert (counts["read"], counts["invalid"], counts["delivered"]) == (1000, 100, 900)
    delivered = [result["sequenceID"] for result in collector.results("spoilt")]
    assert delivered == [number for number in numbers(1000) if not number.endswith("0")]


async def test_results_do_not_wait_for_a_full_batch(
    agent: Agent, collector: Collector, go_loadtest: Callable[..., Path]
) -> None:
    """A few results are delivered while their job runs."""
    job_id = await agent.queue("few", go_loadtest("counter", count=3), duration=30)
    await agent.reached(job_id, "running")
    await collector.received("few", 3, timeout_seconds=5)
    assert (await agent.job(job_id))["state"] == "running"
