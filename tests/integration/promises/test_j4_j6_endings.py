"""J4 and J6: a crash keeps its results and names its cause, and SIGTERM ends the agent cleanly."""

from __future__ import annotations

import pytest
from peers.agent import Agent
from peers.collector import Collector
from peers.notes import Notes
from peers.oracle import Comparing
from twisted.internet import reactor

from goloagent.service import STOP_SECONDS

RESULTS = 1000


async def test_j4_abort(agent: Agent, numbered: Notes, compare_results: Comparing) -> None:
    """Results printed before abort() are delivered, and the reason names the signal."""
    job_id = await agent.queue("abort", numbered.script(count=RESULTS, abort=True), duration=30)
    job = await agent.settled(job_id)
    print(f"J4: {job['results']['delivered']} of {RESULTS} delivered, {job['exit']}")
    assert (job["state"], job["reason"]) == ("failed", "signalled"), job
    assert job["exit"] == {"signal": "SIGABRT"}
    assert "SIGABRT" in job["message"]
    assert job["results"]["delivered"] == RESULTS
    assert compare_results(job_id, "abort").exact


@pytest.mark.parametrize("stubborn", [False, True], ids=["handling", "ignoring SIGTERM"])
@pytest.mark.parametrize("up", [True, False], ids=["collector up", "collector down"])
async def test_j6_sigterm(
    agent: Agent,
    collector: Collector,
    numbered: Notes,
    compare_results: Comparing,
    stubborn: bool,
    up: bool,
) -> None:
    """The agent exits with 0 in time; pending results are delivered after the next start."""
    if not up:
        await collector.close()
    program = numbered.script(count=-1, rate=5000, stubborn=stubborn)
    job_id = await agent.queue("ended", program, duration=600)
    await agent.reached(job_id, "running")
    if up:
        await collector.received("ended", RESULTS)
    begin = reactor.seconds()
    code = await agent.stop()
    seconds = reactor.seconds() - begin
    before = len(collector.pushes)
    if not up:
        collector.open()
    await agent.start()
    job = await agent.settled(job_id)
    comparison = compare_results(job_id, "ended")
    print(
        f"J6: exit code {code} after {seconds:.1f} s, "
        f"{job['results']['delivered']} delivered, lost {len(comparison.lost)}"
    )
    assert (code, job["state"], job["reason"]) == (0, "interrupted", "agent-stopped"), job
    assert seconds <= STOP_SECONDS
    assert (
        comparison.lost
        == comparison.missing
        == comparison.repeated
        == comparison.never_printed
        == []
    )
    assert (len(collector.pushes) == before) is up
