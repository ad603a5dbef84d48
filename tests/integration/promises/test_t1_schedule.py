"""T1: nothing that was scheduled disappears, whatever happens to the agent and the load."""

from __future__ import annotations

import signal
from typing import Any

import pytest
from peers.agent import Agent
from peers.programs import Builder
from twisted.internet import reactor, task

RATE = 500
SLOW = """
from goloagent.sdk import report, serve
def run():
    time.sleep(0.05)
    report(method="GET", url="http://shop/", status=200, duration_seconds=0.05)
serve(run)
"""


@pytest.mark.parametrize("when_full", ["drop", "wait"])
async def test_t1_every_call_is_accounted_for(
    agent: Agent, script: Builder, when_full: str
) -> None:
    """At each look, scheduled = started + dropped, and started = ok + failed + in flight.

    The load is more than fits in flight, and is changed, paused and frozen; then it is cancelled.
    """
    load = {
        "start": RATE,
        "stages": [{"rate": RATE, "duration": 600}],
        "max_in_flight": 10,
        "when_full": when_full,
    }
    job_id = await agent.queue("shop", script(SLOW), load=load)
    await agent.reached(job_id, "running")
    looks: list[dict[str, Any]] = []

    async def look(seconds: float) -> None:
        for _ in range(round(seconds / 0.05)):
            calls = (await agent.job(job_id))["calls"]
            assert calls["scheduled"] == calls["started"] + calls["dropped"], calls
            assert calls["started"] == calls["ok"] + calls["failed"] + calls["in_flight"], calls
            looks.append(calls)
            await task.deferLater(reactor, 0.05)

    await look(1)
    for change in ({"rate": 4 * RATE}, {"paused": True}, {"paused": False}):
        await agent.request("PATCH", f"/jobs/{job_id}", json=change)
        await look(0.5)
    agent.send(signal.SIGSTOP)
    await task.deferLater(reactor, 1)
    agent.send(signal.SIGCONT)
    await look(1)
    await agent.request("DELETE", f"/jobs/{job_id}")
    await agent.settled(job_id)
    await look(0.05)
    windows = (await agent.request("GET", f"/jobs/{job_id}/timeline")).json["windows"]
    for name in ("scheduled", "started", "dropped"):
        assert sum(window[name] for window in windows) == looks[-1][name]
    assert all(one["scheduled"] == one["started"] + one["dropped"] for one in windows)
    assert looks[-1]["started"] > 100
    last = ", ".join(f"{name} {looks[-1][name]:,}" for name in ("scheduled", "started", "dropped"))
    print(f"T1: {when_full}: {len(looks)} looks, at the end {last}")
