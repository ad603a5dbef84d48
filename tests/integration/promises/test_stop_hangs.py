"""A stop ends in time whatever a peer, a disk or a thread does, and says what it has left."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import pytest_twisted
from peers.agent import Agent
from peers.collector import Collector, Misbehaviour
from peers.crashing import HANGS, SHORT_STOP_SECONDS
from twisted.internet import task

from goloagent.service import GUARD_SECONDS, STOP_SECONDS
from goloagent.wiring import SLOW_CHECK_SECONDS

# What it takes to start Python and to end it, on a machine that is busy.
_SLACK_SECONDS = 3.0

# What hangs, the exit code, and what the log says of it.
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
    "survivors": (0, "without: ending the running job"),
    "removal": (0, "calls in threads: bulk (1)"),
}


async def stop(agent: Agent, seconds: float) -> tuple[int, float]:
    """Stop the agent; return its exit code, once it came within the bound, and how long it took."""
    begun = time.monotonic()
    code = await agent.stop()
    took = time.monotonic() - begun
    assert took < seconds + _SLACK_SECONDS, agent.log
    return code, took


def test_each_hang_is_tried() -> None:
    """No point at which something may hang is left out."""
    assert {"start", *IDLE, *WITH_A_JOB, *AFTER_A_JOB} == set(HANGS)


@pytest.mark.parametrize("point", IDLE)
@pytest_twisted.ensureDeferred
async def test_when_idle(idle_agent: Agent, point: str) -> None:
    """The phase that hangs gets its time, and the others theirs."""
    if point == "recovery":
        idle_agent.launch(crash_at=point)
        await idle_agent.logged("hanging")
    else:
        await idle_agent.start(crash_at=point)
    code, took = await stop(idle_agent, SHORT_STOP_SECONDS + 1)
    assert (code, IDLE[point][1] in idle_agent.log) == (IDLE[point][0], True), idle_agent.log
    print(f"stop with {point} hanging: {took:.1f} s of {SHORT_STOP_SECONDS:.0f} s, exit {code}")


@pytest.mark.parametrize("point", WITH_A_JOB)
@pytest_twisted.ensureDeferred
async def test_with_a_running_job(
    idle_agent: Agent, script: Callable[..., Path], point: str
) -> None:
    """What hangs in a thread holds up neither the job's end nor the process's."""
    # A log is synced first when it is made.
    await idle_agent.start(crash_at=f"{point}:2" if point == "sync of logs" else point)
    await idle_agent.queue("job", script("echo line; sleep 600", "/bin/sh"), duration=600)
    await idle_agent.logged("hanging")
    code, took = await stop(idle_agent, SHORT_STOP_SECONDS + 1)
    assert (code, WITH_A_JOB[point][1] in idle_agent.log) == (WITH_A_JOB[point][0], True)
    print(f"stop with {point} hanging: {took:.1f} s of {SHORT_STOP_SECONDS:.0f} s, exit {code}")


@pytest.mark.parametrize("point", AFTER_A_JOB)
@pytest_twisted.ensureDeferred
async def test_after_a_job(idle_agent: Agent, script: Callable[..., Path], point: str) -> None:
    """So does what a job has left to be done."""
    await idle_agent.start(crash_at=point)
    await idle_agent.queue("job", script("exit 1", "/bin/sh"), duration=600)
    await idle_agent.logged("hanging")
    code, took = await stop(idle_agent, SHORT_STOP_SECONDS + 1)
    assert (code, AFTER_A_JOB[point][1] in idle_agent.log) == (AFTER_A_JOB[point][0], True)
    print(f"stop with {point} hanging: {took:.1f} s of {SHORT_STOP_SECONDS:.0f} s, exit {code}")


@pytest_twisted.ensureDeferred
async def test_health_is_answered_while_a_disk_is_not(idle_agent: Agent) -> None:
    """It says so, as soon as the disk has been asked for long enough."""
    from twisted.internet import reactor

    idle_agent.launch(crash_at="free space")
    await idle_agent.logged("hanging")
    begun = time.monotonic()
    statuses: list[str] = []
    slowest = 0.0
    while "slow-disk" not in statuses:
        asked = time.monotonic()
        assert asked - begun < SLOW_CHECK_SECONDS + _SLACK_SECONDS, statuses
        statuses.append((await idle_agent.request("GET", "/health")).json["status"])
        slowest = max(slowest, time.monotonic() - asked)
        await task.deferLater(reactor, 0.1)
    assert slowest < 1
    print(f"/health while a disk does not answer: in {slowest * 1000:.0f} ms at most")
    await stop(idle_agent, SHORT_STOP_SECONDS + 1)


@pytest_twisted.ensureDeferred
async def test_while_it_starts(idle_agent: Agent) -> None:
    """A signal before it listens ends the start with exit code 0."""
    idle_agent.launch(crash_at="start")
    await idle_agent.logged("hanging")
    assert await idle_agent.signal(signal.SIGTERM) == 0
    assert "SIGTERM: the start is given up" in idle_agent.log


@pytest_twisted.ensureDeferred
async def test_a_collector_that_never_answers(
    agent: Agent, collector: Collector, go_loadtest: Callable[..., Path]
) -> None:
    """The whole stop, with a job that runs and a delivery that hangs, keeps its 20 s."""
    collector.answer = lambda name: Misbehaviour.HANG
    job_id = await agent.queue("kept", go_loadtest("counter", count=300), duration=600)
    await agent.reached(job_id, "running")
    code, took = await stop(agent, STOP_SECONDS)
    assert code == 0
    assert STOP_SECONDS < GUARD_SECONDS
    collector.drop()
    print(f"stop with a collector that never answers: {took:.1f} s of {STOP_SECONDS:.0f} s")
