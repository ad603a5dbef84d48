"""R6: a refused result costs no other result."""

from __future__ import annotations

import json

import pytest
from peers.agent import Agent
from peers.collector import Collector
from peers.notes import Notes
from peers.oracle import Comparing

BATCH = 256
MAX_EXTRA_REQUESTS = 16


@pytest.mark.parametrize("refused", [{"77"}, {"1", "128", "256"}], ids=["one", "three"])
async def test_r6_refused_results(
    agent: Agent,
    collector: Collector,
    numbered: Notes,
    compare_results: Comparing,
    refused: set[str],
) -> None:
    """The other results are delivered; rejected.jsonl has the refused ones with the response."""
    collector.refused = frozenset(refused)
    # All results wait, so that they are one batch.
    await collector.close()
    job_id = await agent.queue("refused", numbered.script(count=BATCH), duration=0)
    await agent.ended(job_id)
    collector.open()
    job = await agent.settled(job_id)
    results = job["results"]
    assert (results["delivered"], results["rejected"]) == (BATCH - len(refused), len(refused))
    text = agent.run_log(job_id, "refused", "rejected.jsonl").read_text(encoding="utf-8")
    kept = [json.loads(line) for line in text.splitlines()]
    assert {(one["status"], one["answer"]) for one in kept} == {(422, "refused")}
    numbers = [json.loads(one["result"])["sequenceID"] for one in kept]
    comparison = compare_results(job_id, "refused", rejected=numbers)
    extra = len(collector.pushes) - 1
    print(f"R6: {len(refused)} of {BATCH} refused: {extra} extra requests, rejected {numbers}")
    assert sorted(numbers) == sorted(refused)
    assert comparison.exact, comparison
    assert extra <= MAX_EXTRA_REQUESTS * len(refused)
