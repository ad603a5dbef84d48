"""A load test of go-lo: every request that the target served is a delivered result."""

from __future__ import annotations

import os

import pytest
from peers.agent import Agent
from peers.collector import Collector
from peers.oracle import compare
from peers.programs import Builder
from peers.target import Target

REPEAT = os.environ.get("GOLO_REPEAT")
SECONDS = [10] * int(REPEAT) if REPEAT else [10, 2, 2, 2]


@pytest.mark.parametrize("seconds", SECONDS)
async def test_every_request_served_is_a_delivered_result(
    agent: Agent, target: Target, collector: Collector, go_loadtest: Builder, seconds: int
) -> None:
    """No result is lost although it is printed after its call has returned.

    GOLO_REPEAT=20 runs it 20 times for ten seconds.
    """
    loadtest = go_loadtest("httpget", target=target.url)
    job_id = await agent.queue("http-get", loadtest, duration=seconds)
    job = await agent.settled(job_id, timeout_seconds=seconds + 60)
    assert (job["state"], job["exit"]) == ("finished", {"signal": "SIGTERM"}), job

    log = agent.run_log(job_id, "http-get").read_bytes()
    results = collector.results("http-get")
    print(f"served {target.served} in {seconds} s: {job['calls']}")
    assert target.served > 25
    assert log.count(b"\n") == target.served
    assert len(results) == job["results"]["delivered"] == target.served
    assert job["calls"]["started"] == job["calls"]["ok"] == target.served
    assert {(result["status"], result["error"]) for result in results} == {(200, None)}
    emitted = [str(number) for number in range(1, target.served + 1)]
    batches = [(batch.key, batch.ids) for batch in collector.batches("http-get")]
    comparison = compare(emitted, log, batches)
    assert comparison.exact, comparison
