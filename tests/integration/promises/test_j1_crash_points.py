"""J1: a job answered 201 runs once or is reported, and is never repeated by the agent."""

from __future__ import annotations

import pytest
from peers.agent import OVER, Agent
from peers.collector import Collector
from peers.crashing import POINTS
from peers.notes import Notes
from peers.oracle import Comparing
from twisted.internet.error import ConnectError, ConnectionLost
from twisted.web.client import RequestTransmissionFailed, ResponseFailed, ResponseNeverReceived

GONE = (
    ConnectError,
    ConnectionLost,
    RequestTransmissionFailed,
    ResponseFailed,
    ResponseNeverReceived,
)
# The first job of a queue starts before its request is answered.
IN_A_REQUEST = ("upload", "queue", "start")
RESULTS = 600
# One point for each part of a job's life; CI runs all.
FEW = {
    "upload-after-link",
    "queue-after-row",
    "start-after-spawn",
    "running-after-save",
    "append-half",
    "push-before-commit",
    "reject-before-commit",
    "end-before-save",
}


@pytest.mark.parametrize(
    "point", [pytest.param(one, marks=[] if one in FEW else pytest.mark.full) for one in POINTS]
)
async def test_j1_killed_at(
    idle_agent: Agent, collector: Collector, numbered: Notes, compare_results: Comparing, point: str
) -> None:
    """After a restart every answered job is over, none ran twice, and no written result is lost."""
    agent = idle_agent
    if point.startswith("reject"):
        collector.refused = frozenset({"77"})
    # At points within a request the second one is killed, so that one job was answered.
    times = 2 if point.startswith(IN_A_REQUEST) else 1
    await agent.start(crash_at=f"{point}:{times}")
    await _ask(agent, numbered, times)
    assert await agent.crashed() == -9
    await agent.nothing_left()
    assert len(agent.jobs) >= 1

    await agent.start()
    jobs = [await agent.settled(job_id) for job_id in agent.jobs]
    starts, rejected = numbered.starts(), sorted(collector.refused)
    comparisons = [compare_results(job["id"], "crashed", rejected) for job in jobs]
    twice = sum(number > 1 for number in starts.values())
    missing = sum(job["state"] not in OVER for job in jobs)
    missing += sum(job["state"] == "finished" and not starts[job["id"]] for job in jobs)
    lost = sum(len(comparison.lost) for comparison in comparisons)
    print(f"J1: {point}: {[job['state'] for job in jobs]}, missing {missing}, run twice {twice}")
    assert (missing, twice, lost) == (0, 0, 0)
    assert {job["state"] for job in jobs} <= {"finished", "interrupted"}, jobs
    if rejected:
        noted = agent.run_log(jobs[0]["id"], "crashed", "rejected.jsonl").read_text().splitlines()
        assert len(noted) == jobs[0]["results"]["rejected"] == len(rejected), noted
    for comparison in comparisons:
        assert comparison.missing == comparison.never_printed == comparison.unrecognised == []


async def _ask(agent: Agent, numbered: Notes, times: int) -> None:
    """Upload and queue repeatedly, until the agent does not respond."""
    for _ in range(times):
        try:
            await agent.queue("crashed", numbered.script(count=RESULTS), duration=0)
        except GONE:
            return
