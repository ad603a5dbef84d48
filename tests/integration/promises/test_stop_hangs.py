"""J6: a stop takes bounded time if a peer, a disk or a thread hangs, and logs what it skipped."""

from __future__ import annotations

import signal
import time

import pytest
from peers.agent import Agent
from peers.collector import Collector, Misbehaviour
from peers.crashing import HANGS, SHORT_STOP_SECONDS
from peers.programs import Builder
from twisted.internet import reactor, task

from goloagent.service import GUARD_SECONDS, STOP_SECONDS
from goloagent.wiring.components import SLOW_CHECK_SECONDS

# For a busy machine.
_SLACK_SECONDS = 15.0

# The hanging point, the exit code, and the line in the log.
IDLE = {
    "recovery": (0, "stopped in"),
    "listeners": (0, "without: closing the listeners"),
    "run": (0, "without: ending the running job"),
    "delivery": (0, "without: delivering results"),
    "connections": (0, "without: closing connections"),
    "sync of offsets": (1, "without: syncing logs"),
    "free space": (0, "calls in threads: critical (1)"),
    "database close": (
        1,
        f"the stop did not end in {SHORT_STOP_SECONDS + 1:.0f} s: closing the database",
    ),
}
WITH_A_JOB = {
    "preparation": (0, "calls in threads: critical (1)"),
    "sync of logs": (1, "without: syncing logs"),
}
AFTER_A_JOB = {
    "orphans": (0, "without: ending the running job"),
    "removal": (0, "calls in threads: bulk (1)"),
}


async def check_stop(agent: Agent, seconds: float, code: int, line: str) -> None:
    """Stop the agent, and check its exit code and log."""
    begun = time.monotonic()
    assert (await agent.stop(), line in agent.log) == (code, True), agent.log
    took = time.monotonic() - begun
    print(f"stop: {took:.1f} s of {seconds:.0f} s, exit code {code}: {line}")
    assert took < seconds + _SLACK_SECONDS, agent.log


def test_each_hang_is_tried() -> None:
    """The tables name every point of `HANGS`."""
    assert {"start", *IDLE, *WITH_A_JOB, *AFTER_A_JOB} == set(HANGS)


@pytest.mark.parametrize("point", IDLE)
async def test_when_idle(idle_agent: Agent, point: str) -> None:
    """A phase that hangs is cut off, and the later phases run."""
    if point == "recovery":
        idle_agent.launch(crash_at=point)
        await idle_agent.logged("hanging")
    else:
        await idle_agent.start(crash_at=point)
    await check_stop(idle_agent, SHORT_STOP_SECONDS + 1, *IDLE[point])


@pytest.mark.parametrize("point", [*WITH_A_JOB, *AFTER_A_JOB])
async def test_with_a_job(idle_agent: Agent, script: Builder, point: str) -> None:
    """A hanging thread delays neither the end of the job nor that of the process."""
    # The first sync of a log is that of its creation.
    await idle_agent.start(crash_at=f"{point}:2" if point == "sync of logs" else point)
    text = "echo line; sleep 600" if point in WITH_A_JOB else "exit 1"
    await idle_agent.queue("job", script(text, "/bin/sh"), duration=600)
    await idle_agent.logged("hanging")
    await check_stop(idle_agent, SHORT_STOP_SECONDS + 1, *(WITH_A_JOB | AFTER_A_JOB)[point])


async def test_health_responds_while_a_disk_hangs(idle_agent: Agent) -> None:
    """It reports the slow disk once a check lasts too long."""
    idle_agent.launch(crash_at="free space")
    await idle_agent.logged("hanging")
    begun = time.monotonic()
    status, slowest = "", 0.0
    while status != "slow-disk":
        asked = time.monotonic()
        assert asked - begun < SLOW_CHECK_SECONDS + _SLACK_SECONDS, status
        status = (await idle_agent.request("GET", "/health")).json["status"]
        slowest = max(slowest, time.monotonic() - asked)
        await task.deferLater(reactor, 0.1)
    print(f"/health while a disk does not respond: in {slowest * 1000:.0f} ms at most")
    assert slowest < SLOW_CHECK_SECONDS  # no request waited for the check
    await check_stop(idle_agent, SHORT_STOP_SECONDS + 1, *IDLE["free space"])


async def test_while_it_starts(idle_agent: Agent) -> None:
    """A signal before the agent listens ends the start with exit code 0."""
    idle_agent.launch(crash_at="start")
    await idle_agent.logged("hanging")
    assert await idle_agent.signal(signal.SIGTERM) == 0
    assert "SIGTERM: the start is aborted" in idle_agent.log


@pytest.mark.full
async def test_a_collector_that_never_responds(
    agent: Agent, collector: Collector, go_loadtest: Builder
) -> None:
    """A stop with a running job and a hanging delivery ends in time."""
    collector.answer = lambda name: Misbehaviour.HANG
    job_id = await agent.queue("pending", go_loadtest("counter", count=300), duration=600)
    await agent.reached(job_id, "running")
    await check_stop(agent, STOP_SECONDS, 0, "stopped in")
    assert STOP_SECONDS < GUARD_SECONDS
    collector.drop()
