"""An agent of the user `nobody` isolates load tests by a user namespace or a delegated cgroup."""

from __future__ import annotations

import pwd
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import pytest_twisted
from peers.agent import Agent
from peers.collector import Collector
from peers.programs import Builder
from peers.unprivileged import NotSupported, Unprivileged, run_as_nobody
from peers.waiting import until
from twisted.internet import reactor

RESULTS = 1000
# As in a hardened unit, where namespaces are refused and the cgroup is chosen.
HARDENED = "cgroup, chosen where hardened"
# A load test that never listens, and a foreign listener.
LATE = "import os, signal\nos.write(2, b'born\\n')\nsignal.pause()\n"
LISTENER = """
import socket, sys
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("listens", flush=True)
print(listener.accept()[0].recv(1), flush=True)
"""


@pytest.fixture(params=["pid-namespace", "cgroup", HARDENED])
def unprivileged(request: pytest.FixtureRequest) -> Iterator[Unprivileged]:
    """Return the user of the agent, with each isolation backend that does not need root."""
    expected = "pid-namespace" if request.param == "pid-namespace" else "cgroup"
    with ExitStack() as stack:
        try:
            user = stack.enter_context(run_as_nobody(expected, request.param == HARDENED))
        except NotSupported as error:
            pytest.skip(f"J2: not tried as `nobody`: {error}")
        yield user


@pytest_twisted.async_yield_fixture
async def agent(
    request: pytest.FixtureRequest, unprivileged: Unprivileged, collector: Collector
) -> AsyncIterator[Agent]:
    """Start an agent that runs as `nobody`."""
    # pytest's directory is closed to other users.
    with tempfile.TemporaryDirectory() as name:
        shutil.chown(name, "nobody")
        agent = Agent(reactor, Path(name), collector)
        agent.prefix = unprivileged.prefix
        agent.options["--run-as"] = "nobody"
        if request.node.callspec.params["unprivileged"] != HARDENED:
            agent.options["--containment"] = unprivileged.isolation
        await agent.start()
        yield agent
        await agent.finish()


async def test_j2_as_nobody(agent: Agent, unprivileged: Unprivileged, go_loadtest: Builder) -> None:
    """A job is delivered, and a kill of the agent leaves no process."""
    assert Path(f"/proc/{agent.pid}").stat().st_uid == pwd.getpwnam("nobody").pw_uid
    health = (await agent.request("GET", "/health")).json
    assert health["protections"]["processes"] == unprivileged.isolation
    loadtest = go_loadtest("counter", count=RESULTS)
    job = await agent.settled(await agent.queue("counter", loadtest, duration=1))
    assert (job["state"], job["results"]["delivered"]) == ("finished", RESULTS), job
    job_id = await agent.queue("counter", loadtest, duration=600)
    await agent.reached(job_id, "running")
    seen = len(agent.processes())
    assert seen > 0
    await agent.kill()
    print(f"J2: as nobody, kill -9, {unprivileged.isolation}: orphans 0 of {seen}")
    await agent.start()
    assert (await agent.job(job_id))["state"] == "interrupted"


async def test_j5_as_nobody(agent: Agent, unprivileged: Unprivileged, script: Builder) -> None:
    """A foreign listener of the same user is detected."""
    job_id = await agent.queue("late", script(LATE), duration=1)
    stderr = agent.run_log(job_id, "late", "err.log")
    await until(lambda: stderr.exists() and stderr.read_text() == "born\n")
    with unprivileged.run(LISTENER, str(agent.rpc_port)) as listener:
        assert listener.stdout is not None
        assert listener.stdout.readline() == "listens\n"
        job = await agent.ended(job_id)
        received = listener.stdout.readline().strip()
    print(f"J5: as nobody, {unprivileged.isolation}: {job['reason']}, received {received}")
    assert (job["state"], job["reason"], received) == ("failed", "rpc-port-busy", "b''"), job
