"""Faults of the host are shown in /health, pause the queue, and fail no job."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from peers.agent import Agent
from peers.programs import Builder
from twisted.internet import defer, reactor, task
from twisted.internet.protocol import Factory, Protocol

from goloagent.runs.scheduler import FIRST_RETRY_SECONDS, MAX_RETRY_SECONDS


async def test_the_rpc_port_is_taken(agent: Agent, go_loadtest: Builder) -> None:
    """While a foreign process has the RPC port jobs wait, can be cancelled, and get no call."""
    received: list[bytes] = []

    class Foreign(Protocol):
        def dataReceived(self, data: bytes) -> None:
            received.append(data)

    loadtest = await agent.upload(go_loadtest("counter", count=10))
    port = reactor.listenTCP(agent.rpc_port, Factory.forProtocol(Foreign), interface="127.0.0.1")
    try:
        reason = (await agent.health("rpc-port-busy")).json["reason"]  # before any job
        assert f"127.0.0.1:{agent.rpc_port}" in reason
        first = await agent.queue("waits", loadtest, duration=1)
        second = await agent.queue("cancelled", loadtest, duration=1)
        third = await agent.queue("later", loadtest, duration=1)
        await task.deferLater(reactor, FIRST_RETRY_SECONDS * 1.5)
        await agent.logged("the queue is paused, rpc-port-busy")
        for job_id in (first, second, third):
            job = await agent.job(job_id)
            assert (job["state"], job["reason"], job["started_at"]) == ("queued", None, None), job
        metrics = (await agent.request("GET", "/metrics")).text
        assert "golo_agent_ready 0.0" in metrics
        cancelled = await agent.request("DELETE", f"/jobs/{second}")
        assert (cancelled.status, cancelled.json["state"]) == (200, "cancelled")
        cancelled = await agent.request("DELETE", f"/jobs/{first}")
        assert (cancelled.status, cancelled.json["state"]) == (200, "cancelled")
    finally:
        await defer.maybeDeferred(port.stopListening)
    job = await agent.settled(third, MAX_RETRY_SECONDS + 30)
    print(f"J5: a foreign process on the port before the start: the job waits, then {job['state']}")
    assert (job["state"], job["results"]["delivered"]) == ("finished", 10), job
    assert received == []
    await agent.health()


async def test_a_waiting_job_stays_queued_across_a_restart(
    agent: Agent, go_loadtest: Builder
) -> None:
    """A stop of the agent is not delayed, and the job runs after the restart."""
    port = reactor.listenTCP(agent.rpc_port, Factory.forProtocol(Protocol), interface="127.0.0.1")
    try:
        job_id = await agent.queue("waits", go_loadtest("counter", count=10), duration=0)
        await agent.health("rpc-port-busy")
        assert await agent.stop() == 0
    finally:
        await defer.maybeDeferred(port.stopListening)
    await agent.start()
    job = await agent.settled(job_id)
    assert (job["state"], job["results"]["delivered"]) == ("finished", 10), job


@pytest.mark.parametrize("which", ["--state", "--logs"])
async def test_no_inodes(
    tmpfs: Callable[[str], Path], idle_agent: Agent, go_loadtest: Builder, which: str
) -> None:
    """Without inodes queued jobs wait, and a running one continues."""
    disk = tmpfs("size=64m,nr_inodes=1000")
    idle_agent.options[which] = str(disk / which.strip("-"))
    await idle_agent.start()
    loadtest = await idle_agent.upload(go_loadtest("counter", count=10))
    running = await idle_agent.queue("runs", loadtest, duration=3)
    waiting = await idle_agent.queue("waits", loadtest, duration=0)
    await idle_agent.reached(running, "running")
    files = fill_inodes(disk)
    assert "inodes" in (await idle_agent.health("no-inodes")).json["reason"]
    wanted = json.dumps({"name": "late", "binary": loadtest}).encode()
    answer = await idle_agent.request("POST", "/queue", data=wanted)
    assert answer.status == 507, answer
    job = await idle_agent.ended(running)
    assert (job["state"], job["results"]["valid"]) == ("finished", 10), job
    assert (await idle_agent.job(waiting))["state"] == "queued"
    for file in files:
        file.unlink()
    job = await idle_agent.settled(waiting)
    assert (job["state"], job["results"]["delivered"]) == ("finished", 10), job
    await idle_agent.health()


def fill_inodes(disk: Path) -> list[Path]:
    """Create files until there is no inode left, and return them."""
    files = []
    for number in range(10_000):
        file = disk / f"filler-{number}"
        try:
            file.touch()
        except OSError:
            return files
        files.append(file)
    raise AssertionError("the file system has too many inodes")


@pytest.mark.parametrize("which", ["--state", "--logs"])
async def test_a_read_only_disk(
    tmpfs: Callable[[str], Path], idle_agent: Agent, go_loadtest: Builder, which: str
) -> None:
    """With a read-only disk /health reports it and requests are rejected, until it is writable."""
    place = tmpfs("size=64m") / which.strip("-")
    idle_agent.options[which] = str(place)
    await idle_agent.start()
    loadtest = await idle_agent.upload(go_loadtest("counter", count=10))
    # A file system with open files cannot be remounted read-only, but a bind mount can.
    subprocess.run(["mount", "--bind", str(place), str(place)], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(place)], check=True)
        reason = (await idle_agent.health("read-only")).json["reason"]
        assert str(place) in reason
        wanted = json.dumps({"name": "late", "binary": loadtest}).encode()
        answer = await idle_agent.request("POST", "/queue", data=wanted)
        assert answer.status == 503, answer
        assert "read-only" in answer.text
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)
    await idle_agent.health()
    job = await idle_agent.settled(await idle_agent.queue("after", loadtest, duration=0))
    assert (job["state"], job["results"]["delivered"]) == ("finished", 10), job
