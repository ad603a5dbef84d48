"""R1: kill -9 of the agent loses no written result."""

from __future__ import annotations

import random
from statistics import median

from peers.agent import Agent
from peers.collector import Collector
from peers.notes import Notes
from peers.oracle import Comparing
from twisted.internet import reactor, task

LINES_PER_SECOND = 25_000
MAX_UNWRITTEN_BYTES = 128 * 1024
LINE_BYTES = 140


async def test_r1_kills_at_random_moments(
    idle_agent: Agent, collector: Collector, numbered: Notes, compare_results: Comparing, soak: bool
) -> None:
    """The agent delivers each written result although it is killed repeatedly at full speed."""
    agent, kills, seed = idle_agent, 100 if soak else 12, random.randrange(10**6)
    moments = random.Random(seed)
    await agent.start()
    binary = await agent.upload(numbered.script(count=-1, rate=LINES_PER_SECOND))
    for _ in range(kills):
        if not agent.running:
            await agent.start()
        await agent.queue("killed", binary, duration=600)
        await task.deferLater(reactor, moments.uniform(0.1, 2))
        await agent.kill()
    await agent.start()
    jobs = [await agent.settled(job_id) for job_id in agent.jobs]

    assert len(jobs) == kills
    assert {job["state"] for job in jobs} <= {"interrupted", "failed"}, jobs
    comparisons = [compare_results(job_id, "killed") for job_id in agent.jobs]
    assert max(numbered.starts().values()) == 1
    rates = [rate for rate in map(numbered.rate, agent.jobs) if rate]
    unwritten = max(len(comparison.unwritten) for comparison in comparisons) * LINE_BYTES
    largest = max(batch.count for batch in collector.pushes)
    totals = {
        kind: sum(len(getattr(comparison, kind)) for comparison in comparisons)
        for kind in ("lost", "missing", "never_printed", "repeated", "unrecognised")
    }
    printed = sum(len(numbered.emitted(job_id)) for job_id in agent.jobs)
    print(
        f"R1: {kills} kills (seed {seed}), {printed} results at {median(rates):.0f} a second: "
        f"lost {totals['lost']}, holes {totals['missing']}, "
        f"never printed {totals['never_printed']}, repeated {totals['repeated']}, "
        f"of those outside a key seen {totals['unrecognised']}, "
        f"unwritten at most {unwritten} bytes a kill"
    )
    assert totals["lost"] == totals["missing"] == totals["never_printed"] == 0
    assert totals["unrecognised"] == 0
    assert totals["repeated"] <= kills * largest
    assert unwritten <= MAX_UNWRITTEN_BYTES
