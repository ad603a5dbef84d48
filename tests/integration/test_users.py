"""One connection carries every user: from 1 to 10,000 calls outstanding at once."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import pytest_twisted
from peers.agent import Agent


@pytest.mark.parametrize("users", [1, 25, 1000, 10_000])
@pytest_twisted.ensureDeferred
async def test_as_many_calls_are_outstanding_as_there_are_users(
    agent: Agent, go_loadtest: Callable[..., Path], users: int
) -> None:
    """The load test sees exactly that many at once, on one connection, and every call returns."""
    job_id = await agent.queue("crowd", go_loadtest("crowd"), duration=2, users=users)
    job = await agent.ended(job_id)
    assert job["state"] == "finished", job
    seen = re.findall(r"\d+", agent.run_log(job_id, "crowd", "err.log").read_text())
    calls, at_once, connections = map(int, seen)
    assert (at_once, connections) == (users, 1)
    assert job["calls"] == {"started": calls, "ok": calls, "failed": 0, "in_flight": 0}
    assert calls >= 3 * users
