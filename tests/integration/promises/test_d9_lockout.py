"""D9: no connection, client or load test denies the API to others."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from peers import connection_attack, prober
from peers.agent import Agent
from peers.programs import Builder
from twisted.internet import reactor, task
from twisted.internet.threads import deferToThread
from twisted.internet.utils import getProcessOutput

# A client that is locked out waits for longer than these, or without limit.
MAX_MILLISECONDS = 1000
MAX_CANCEL_SECONDS = 5.0
MAX_GROWTH_BYTES = 32 * 2**20
ATTACKS = [
    "flood",
    "pipeline",
    *(pytest.param(name, marks=pytest.mark.full) for name in ("silent", "dripping", "refused")),
]


@asynccontextmanager
async def attacked(agent: Agent, attack: str) -> AsyncIterator[None]:
    """Run an attack on the agent's connections in another process."""
    process = subprocess.Popen(
        [sys.executable, connection_attack.__file__, str(agent.port), attack],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        assert await deferToThread(process.stdout.readline) == b"ready\n"
        yield
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await deferToThread(process.wait)
        process.stdout.close()


async def probe(agent: Agent, seconds: int) -> list[float]:
    """Request `/health` from another process; return the sorted milliseconds."""
    output = await getProcessOutput(
        sys.executable,
        [prober.__file__, str(agent.port), str(seconds)],
        reactor=reactor,
        errortoo=True,
    )
    return sorted(json.loads(output))


@pytest.mark.parametrize("attack", ATTACKS)
async def test_d9_a_client_with_the_token_gets_in(
    idle_agent: Agent, go_loadtest: Builder, attack: str
) -> None:
    """During an attack by 256 and more connections jobs are cancelled and `/health` responds.

    Memory does not grow.
    """
    agent = idle_agent
    agent.require_token()
    await agent.start()
    binary = await agent.upload(go_loadtest("torrent", rate=10))
    await probe(agent, 1)
    before = agent.resident_bytes
    slowest = 0.0
    async with attacked(agent, attack):
        await task.deferLater(reactor, 1.5)  # idle connections yield after a second
        took = await probe(agent, 5)
        p99 = took[len(took) * 99 // 100]
        jobs = [await agent.queue("attacked", binary, duration=60) for _ in range(5)]
        await agent.reached(jobs[0], "running")
        for job_id in reversed(jobs):
            await agent.close()
            start = time.monotonic()
            answer = await agent.request("DELETE", f"/jobs/{job_id}")
            slowest = max(slowest, time.monotonic() - start)
            assert answer.status in (200, 202), answer
            await agent.ended(job_id)
        grown = agent.resident_bytes - before
    print(
        f"D9: {attack}: /health p50 {took[len(took) // 2]:.1f} ms, p99 {p99:.1f} ms, "
        f"{len(took)} asked; slowest cancel {slowest * 1000:.0f} ms; "
        f"memory {grown / 2**20:+.1f} MiB"
    )
    assert p99 <= MAX_MILLISECONDS
    assert slowest <= MAX_CANCEL_SECONDS
    assert grown < MAX_GROWTH_BYTES
