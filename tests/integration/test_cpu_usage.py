"""The CPU usage of the agent and of its load test, in the job and in the report."""

from __future__ import annotations

import re

import pytest
from peers.agent import Agent
from peers.programs import Builder
from twisted.internet import reactor, task

from goloagent.report.codec import decode

# Says at the begin of each journey what the kernel has counted for this process.
BURN = """
from goloagent.sdk import serve
def run():
    print("burnt", time.process_time(), "at", time.monotonic(), file=sys.stderr, flush=True)
    until = time.monotonic() + 0.4
    while time.monotonic() < until:
        pass
serve(run)
"""


async def test_a_load_test_that_computes(isolated_agent: Agent, script: Builder) -> None:
    """It uses one CPU, or the part of one that a busy machine gives it."""
    agent = isolated_agent
    job_id = await agent.queue("burn", script(BURN), duration=6, users=1)
    job = await agent.ended(job_id)
    readings = re.findall(r"burnt (\S+) at (\S+)", job["stderr_tail"])
    (used, begin), (used_later, end) = (map(float, readings[place]) for place in (0, -1))
    assert end - begin > 4
    usage = job["cpu"]["load_test"]
    assert usage["mean"] == pytest.approx((used_later - used) / (end - begin), abs=0.15)
    assert usage["mean"] <= usage["max"]
    assert 0 < job["cpu"]["agent"]["mean"] <= job["cpu"]["agent"]["max"]
    html = (await agent.request("GET", f"/jobs/{job_id}/report.html")).text
    [row] = decode(html.encode()).agents
    assert row.cpu is not None
    assert row.cpu.load_test is not None
    assert (row.cpu.load_test.mean, row.cpu.load_test.max) == (usage["mean"], usage["max"])
    assert ">not measured<" not in html


async def test_after_a_kill_it_is_not_known(agent: Agent, script: Builder) -> None:
    """The report says that it was not measured, and not that it was 0."""
    job_id = await agent.queue("burn", script(BURN), duration=60, users=1)
    while (await agent.job(job_id))["cpu"] is None:
        await task.deferLater(reactor, 0.1)
    await agent.kill()
    await agent.start()
    job = await agent.ended(job_id)
    assert (job["state"], job["cpu"]) == ("interrupted", None)
    html = (await agent.request("GET", f"/jobs/{job_id}/report.html")).text
    assert html.count(">not measured<") == 2
