"""An agent that is not root: namespaces of users, or a cgroup delegated to it, hold load tests."""

from __future__ import annotations

import pwd
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import pytest_twisted
from peers import somebody
from peers.agent import Agent
from peers.collector import Collector
from peers.somebody import Nobody, Unable
from twisted.internet import task

RESULTS = 1000
# As in a hardened unit that delegates: a namespace is refused, and what is next is chosen.
HARDENED = "cgroup, chosen where hardened"
# A load test that is late, and a stranger that is not.
LATE = "import os, signal\nos.write(2, b'born\\n')\nsignal.pause()\n"
STRANGER = """
import socket, sys
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("listens", flush=True)
print(listener.accept()[0].recv(1), flush=True)
"""


@pytest.fixture(params=["pid-namespace", "cgroup", HARDENED])
def nobody(request: pytest.FixtureRequest) -> Iterator[Nobody]:
    """Nobody, whose load tests are kept together in each way that does not need root."""
    expected = "pid-namespace" if request.param == "pid-namespace" else "cgroup"
    with ExitStack() as stack:
        try:
            able = stack.enter_context(somebody.nobody(expected, request.param == HARDENED))
        except Unable as unable:
            print(f"J2: not tried as nobody: {unable}")
            pytest.skip(str(unable))
        yield able


@pytest_twisted.async_yield_fixture
async def agent(
    request: pytest.FixtureRequest, nobody: Nobody, collector: Collector
) -> AsyncIterator[Agent]:
    """An agent that runs as nobody and is ready; what it leaves is checked after the test."""
    from twisted.internet import reactor

    # Not pytest's: what is below those only we may enter.
    with tempfile.TemporaryDirectory() as name:
        shutil.chown(name, "nobody")
        agent = Agent(reactor, Path(name), collector)
        agent.become = nobody.become
        agent.options["--run-as"] = "nobody"
        if request.node.callspec.params["nobody"] != HARDENED:
            agent.options["--containment"] = nobody.containment
        await agent.start()
        yield agent
        await agent.finish()


@pytest_twisted.ensureDeferred
async def test_j2_as_nobody(agent: Agent, nobody: Nobody, go_loadtest: Callable[..., Path]) -> None:
    """A job finishes and is delivered, and nothing of one is left by a kill of the agent."""
    assert Path(f"/proc/{agent.pid}").stat().st_uid == pwd.getpwnam("nobody").pw_uid
    health = (await agent.request("GET", "/health")).json
    assert health["protections"]["processes"] == nobody.containment
    loadtest = go_loadtest("counter", count=RESULTS)
    job = await agent.settled(await agent.queue("counter", loadtest, duration=1))
    assert (job["state"], job["results"]["delivered"]) == ("finished", RESULTS), job
    job_id = await agent.queue("counter", loadtest, duration=600)
    await agent.reached(job_id, "running")
    seen = len(agent.processes())
    assert seen > 0
    await agent.kill()
    print(f"J2: as nobody, kill -9, {nobody.containment}: survivors 0 of {seen}")
    await agent.start()
    assert (await agent.job(job_id))["state"] == "interrupted"


@pytest_twisted.ensureDeferred
async def test_j5_as_nobody(agent: Agent, nobody: Nobody, script: Callable[..., Path]) -> None:
    """A stranger is found out who is nobody, too: not the user counts but the process."""
    from twisted.internet import reactor

    job_id = await agent.queue("late", script(LATE), duration=1)
    noted = agent.run_log(job_id, "late", "err.log")
    while not noted.exists() or noted.read_text() != "born\n":
        await task.deferLater(reactor, 0.01)
    with nobody.run(STRANGER, str(agent.rpc_port)) as stranger:
        assert stranger.stdout is not None
        assert stranger.stdout.readline() == "listens\n"
        job = await agent.ended(job_id)
        heard = stranger.stdout.readline().strip()
    print(f"J5: as nobody, {nobody.containment}: {job['reason']}, heard {heard}")
    assert (job["state"], job["reason"], heard) == ("failed", "rpc-port-busy", "b''"), job
