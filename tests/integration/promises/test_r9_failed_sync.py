"""R9: a failed sync is not retried: the agent reports it and exits."""

from __future__ import annotations

import pytest
from peers.agent import Agent
from peers.notes import Notes
from peers.oracle import Comparing


@pytest.mark.parametrize("fault", ["sync-of-log:2", "sync-of-offsets:3"])
async def test_r9_a_failed_sync_ends_the_agent(
    idle_agent: Agent, numbered: Notes, compare_results: Comparing, fault: str
) -> None:
    """It exits with code 1 and one critical line; the next start continues from the disk."""
    agent = idle_agent
    await agent.start(crash_at=fault)
    job_id = await agent.queue("unsynced", numbered.script(count=-1, rate=2000), duration=600)
    code = await agent.crashed()
    assert code == 1, agent.log
    assert "the disk did not take what was written" in agent.log
    await agent.nothing_left()
    await agent.start()
    job = await agent.settled(job_id)
    comparison = compare_results(job_id, "unsynced")
    print(
        f"R9: {fault} failed: exit code {code}, job {job['state']}, lost {len(comparison.lost)}, "
        f"repeated {len(comparison.repeated)}, outside a key {len(comparison.unrecognised)}"
    )
    assert (job["state"], job["reason"]) == ("interrupted", "agent-restart"), job
    assert comparison.lost == comparison.missing == comparison.never_printed == []
    assert comparison.unrecognised == []
