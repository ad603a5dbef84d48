"""R11: an invalid line costs only itself."""

from __future__ import annotations

from peers.agent import Agent
from peers.collector import Collector
from peers.notes import Notes

LINES = 100_000


async def test_r11_every_tenth_line_is_bad(
    agent: Agent, collector: Collector, numbered: Notes
) -> None:
    """Results among lines with NaN, NUL or broken UTF-8, and of 10 MiB, arrive in order."""
    job_id = await agent.queue("bad", numbered.script(count=LINES, spoil=True), duration=0)
    job = await agent.settled(job_id, timeout_seconds=120)
    assert job["state"] == "finished", job
    delivered = [number for batch in collector.batches("bad") for number in batch.ids]
    results = job["results"]
    print(
        f"R11: {results['read']} lines, {results['invalid']} invalid, "
        f"{len(delivered)} delivered in order"
    )
    assert (results["read"], results["invalid"]) == (LINES, LINES // 10)
    assert delivered == [str(number) for number in range(1, LINES + 1) if number % 10]
