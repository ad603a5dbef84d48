"""One connection carries 1 to 10,000 concurrent calls."""

from __future__ import annotations

import re

import pytest
from peers.agent import Agent
from peers.programs import Builder


@pytest.mark.parametrize("users", [1, 25, 1000, 10_000])
async def test_calls_in_flight_are_the_users(
    agent: Agent, go_loadtest: Builder, users: int
) -> None:
    """The load test gets exactly that many concurrent calls on one connection, and all return."""
    job_id = await agent.queue(
        "crowd", go_loadtest("crowd", together="yes"), duration=3, users=users
    )
    job = await agent.ended(job_id)
    assert job["state"] == "finished", job
    seen = re.findall(r"\d+", agent.run_log(job_id, "crowd", "err.log").read_text())
    calls, at_once, connections = map(int, seen)
    assert (at_once, connections) == (users, 1)
    assert job["calls"] == {
        "scheduled": calls,
        "dropped": 0,
        "started": calls,
        "ok": calls,
        "failed": 0,
        "in_flight": 0,
    }
    assert calls >= 2 * users
