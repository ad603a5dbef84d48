"""The identity and capacity of the agent, and its clocks, over HTTP."""

from __future__ import annotations

import json
import time
from typing import Any

from unit.http.in_memory import IDENTITY, NOW, Agent

from goloagent import VERSION
from goloagent.core.job_members import FEATURES


def get(agent: Agent, path: str) -> Any:
    """Return the JSON of a response."""
    response = agent.request(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    assert response.status == 200
    return json.loads(response.body)


def test_the_agent(agent: Agent) -> None:
    """A client recognises it by its id, and chooses by its features and capacity."""
    found = get(agent, "/agent")
    assert (found["id"], found["boot"]) == (IDENTITY.id, IDENTITY.boot)
    assert (found["version"], set(found["features"])) == (VERSION, FEATURES)
    assert found["capacity"]["cpus"] >= 1
    assert found["capacity"]["memory_bytes"] > 2**20


def test_the_clock(agent: Agent) -> None:
    """The monotonic clock is that of every process of the host."""
    before = time.monotonic_ns()
    found = get(agent, "/clock")
    assert before < found["monotonic_ns"] < time.monotonic_ns()
    assert (found["boot"], found["time"]) == (IDENTITY.boot, NOW.isoformat().replace("+00:00", "Z"))
