"""R7: a wrong setting never drops data. tests/unit/outputs tests it on a fake clock."""

from __future__ import annotations

import pytest
from peers.agent import Agent
from peers.collector import Collector
from peers.notes import Notes
from peers.oracle import Comparing
from twisted.internet import reactor, task

RESULTS = 1000
WRONG_SECONDS = 45
PROBE_SECONDS = 30


@pytest.mark.soak
async def test_r7_unauthorised_for_a_while(
    agent: Agent, collector: Collector, numbered: Notes, compare_results: Comparing
) -> None:
    """Delivery pauses at 401, and a probe resumes it."""
    collector.answer = lambda name: 401
    job_id = await agent.queue("held", numbered.script(count=RESULTS), duration=0)
    job = await agent.ended(job_id)
    assert job["delivery"]["state"] == "holding", job
    await task.deferLater(reactor, WRONG_SECONDS)
    probes = len(collector.pushes)
    collector.answer = lambda name: 200
    await agent.settled(job_id, timeout_seconds=PROBE_SECONDS + 5)
    comparison = compare_results(job_id, "held")
    print(f"R7: 401 for {WRONG_SECONDS} s: {probes} probes, lost {len(comparison.lost)}")
    assert comparison.exact, comparison
    assert probes <= 1 + WRONG_SECONDS // PROBE_SECONDS
