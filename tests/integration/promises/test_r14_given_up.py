"""R14: undeliverable results can be given up, and are counted once."""

from __future__ import annotations

import pytest
from peers.agent import Agent
from peers.collector import Collector
from peers.crashing import GIVING_UP
from peers.notes import Notes
from twisted.internet.error import ConnectError
from twisted.web.client import ResponseFailed, ResponseNeverReceived

RESULTS = 300


async def test_r14_given_up_results_are_abandoned(
    agent: Agent, collector: Collector, numbered: Notes
) -> None:
    """Given-up results count as abandoned in the API and the metrics, and no probe follows."""
    collector.answer = lambda name: 404 if name == "typo" else 200
    program = numbered.script(count=RESULTS)
    refused = await agent.queue("typo", program, duration=0)
    job = await agent.ended(refused)
    healthy = await agent.settled(await agent.queue("shop", program, duration=0))
    assert healthy["delivery"] == {"state": "ok", "last_error": None, "retry_at": None}
    job = await agent.job(refused)
    assert (job["delivery"]["state"], job["delivery"]["last_error"]) == ("holding", "404")
    assert job["results"]["pending"] == RESULTS

    answer = await agent.request("DELETE", f"/jobs/{refused}/results")
    assert (answer.status, answer.json["abandoned"], answer.json["pending"]) == (200, RESULTS, 0)
    job = await agent.job(refused)
    assert job["delivery"]["state"] == "ok"
    metrics = (await agent.request("GET", "/metrics")).text
    assert f"golo_agent_results_abandoned_total {RESULTS}.0" in metrics
    assert f"abandon peer=127.0.0.1 job={refused} results={RESULTS}" in agent.log
    assert agent.run_log(refused, "typo", "account.json").exists()


@pytest.mark.parametrize("point", GIVING_UP)
async def test_r14_killed_while_giving_up(
    idle_agent: Agent, collector: Collector, numbered: Notes, point: str
) -> None:
    """After a restart each result is abandoned or delivered, never both."""
    agent = idle_agent
    collector.answer = lambda name: 404
    await agent.start(crash_at=point)
    job_id = await agent.queue("typo", numbered.script(count=RESULTS), duration=0)
    await agent.ended(job_id)
    with pytest.raises((ConnectError, ResponseFailed, ResponseNeverReceived)):
        await agent.request("DELETE", f"/jobs/{job_id}/results")
    assert await agent.crashed() == -9

    collector.answer = lambda name: 200
    await agent.start()
    results = (await agent.settled(job_id))["results"]
    assert sorted((results["delivered"], results["abandoned"])) == [0, RESULTS]
    print(f"R14: {point}: {results}")
