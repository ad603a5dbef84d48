"""J5: a stranger on the RPC port is never driven, also when it comes after the port was checked."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_twisted
from peers.agent import Agent
from twisted.internet import defer, task
from twisted.internet.protocol import Factory, Protocol

import goloagent
from goloagent.sandbox.isolation import IsolationBackend

CHECKOUT = str(Path(goloagent.__file__).parents[1])
IMPORTS = f"import os, signal, socket, sys\nsys.path.insert(0, {CHECKOUT!r})\n"

# A load test that is late: whoever wants its port has the time to take it.
LATE = "import os, signal\nos.write(2, b'born\\n')\nsignal.pause()\n"

# What comes before tells in which of its processes, and how, a load test listens.
SERVE = """
from goloagent.netrpc import Server
host, port = os.environ["GOLO_RPC_ADDR"].rsplit(":", 1)
connection, _ = listener(host.strip("[]"), int(port)).accept()
server = Server()
while data := connection.recv(65536):
    for call in server.receive(data):
        connection.sendall(server.reply(call))
"""
PLAIN = "listener = lambda *at: socket.create_server(at)\n"
SIX = "listener = lambda *at: socket.create_server(at, family=socket.AF_INET6)\n"
DUAL = """
listener = lambda host, port: socket.create_server(
    ("::", port), family=socket.AF_INET6, dualstack_ipv6=True
)
"""
CHILD = PLAIN + "if os.fork():\n    os.wait()\n    os._exit(0)\n"
# Executes itself without the mark, and loses its parent on the way: its session is left.
ORPHAN = (
    PLAIN
    + """
if "GOLO_JOB" in os.environ:
    if os.fork():
        signal.pause()
    if os.fork():
        os._exit(0)
    rest = {"GOLO_RPC_ADDR": os.environ["GOLO_RPC_ADDR"]}
    os.execve(sys.executable, [sys.executable, __file__], rest)
"""
)
DAEMON = (
    PLAIN
    + """
if os.fork():
    signal.pause()
os.setsid()
if os.fork():
    os._exit(0)
"""
)
SHAPES = {"itself": PLAIN, "any IPv6": DUAL, "child": CHILD, "orphan": ORPHAN, "daemon": DAEMON}


@pytest_twisted.async_fixture
async def contained(idle_agent: Agent, containment: IsolationBackend) -> Agent:
    """An agent that is ready and was told how to keep processes together."""
    idle_agent.options["--containment"] = containment.name
    await idle_agent.start()
    return idle_agent


class Stranger:
    """Listens when told, and notes what it hears."""

    def __init__(self) -> None:
        self.connections = 0
        self.heard: list[bytes] = []

    def listen(self, host: str, port: int) -> None:
        from twisted.internet import reactor

        stranger = self

        class Ear(Protocol):
            def connectionMade(self) -> None:
                stranger.connections += 1

            def dataReceived(self, data: bytes) -> None:
                stranger.heard.append(data)

        self._port = reactor.listenTCP(port, Factory.forProtocol(Ear), interface=host)

    async def close(self) -> None:
        await defer.maybeDeferred(self._port.stopListening)


@pytest_twisted.async_yield_fixture
async def stranger() -> AsyncIterator[Stranger]:
    """A stranger, gone after the test."""
    stranger = Stranger()
    yield stranger
    await stranger.close()


async def born(agent: Agent, job_id: str) -> None:
    """Return when a load test that is late runs."""
    from twisted.internet import reactor

    noted = agent.run_log(job_id, "late", "err.log")
    await agent.reached(job_id, "starting")
    while not noted.exists() or noted.read_text() != "born\n":
        await task.deferLater(reactor, 0.01)


async def refused(agent: Agent, stranger: Stranger, loadtest: Path, host: str) -> None:
    """Queue a load test that is late, have the stranger come first, and see the job fail."""
    job_id = await agent.queue("late", loadtest, duration=1)
    await born(agent, job_id)
    stranger.listen(host, agent.rpc_port)
    job = await agent.ended(job_id)
    print(
        f"J5: a stranger on {host} after the check: {job['reason']}, connections "
        f"{stranger.connections}, calls {job['calls']['started']}, heard {stranger.heard}"
    )
    assert (job["state"], job["reason"]) == ("failed", "rpc-port-busy"), job
    assert job["calls"]["started"] == 0
    assert (stranger.connections, stranger.heard) == (1, [])


@pytest_twisted.ensureDeferred
async def test_j5_after_the_check(
    contained: Agent, stranger: Stranger, script: Callable[..., Path]
) -> None:
    """Who listens is looked up before the first call: the job fails, the stranger hears none."""
    await refused(contained, stranger, script(LATE), "127.0.0.1")


@pytest.mark.parametrize("shape", SHAPES)
@pytest_twisted.ensureDeferred
async def test_j5_its_own(idle_agent: Agent, script: Callable[..., Path], shape: str) -> None:
    """A load test is driven whichever of its processes listens, also where nothing holds them."""
    idle_agent.options["--containment"] = "process-group"
    await idle_agent.start()
    job_id = await idle_agent.queue("own", script(IMPORTS + SHAPES[shape] + SERVE), duration=1)
    job = await idle_agent.ended(job_id)
    print(f"J5: its own, {shape}: {job['state']}, calls {job['calls']['ok']}")
    assert (job["state"], job["calls"]["ok"] > 0) == ("finished", True), json.dumps(job)


@pytest_twisted.ensureDeferred
async def test_j5_ipv6(idle_agent: Agent, stranger: Stranger, script: Callable[..., Path]) -> None:
    """The same holds for IPv6: its own is driven, a stranger is not."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as error:
        print(f"J5: no IPv6 is to be had here: {error}")
        pytest.skip(f"no IPv6 is to be had here: {error}")
    idle_agent.options["--rpc"] = f"[::1]:{idle_agent.rpc_port}"
    await idle_agent.start()
    job_id = await idle_agent.queue("own", script(IMPORTS + SIX + SERVE), duration=1)
    assert (await idle_agent.ended(job_id))["state"] == "finished"
    await refused(idle_agent, stranger, script(LATE), "::1")
