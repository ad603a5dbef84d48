"""The timeline of a running job."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor, task

from peers.agent import Agent


async def windows_of(agent: Agent, job_id: str, number: int) -> list[dict[str, Any]]:
    """Return the windows of a job, once there are as many."""
    while True:
        answer = await agent.request("GET", f"/jobs/{job_id}/timeline")
        if answer.status == 200 and len(answer.json["windows"]) >= number:
            return list(answer.json["windows"])
        await task.deferLater(reactor, 0.05)
