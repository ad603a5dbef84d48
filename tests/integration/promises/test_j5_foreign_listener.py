"""J5: a foreign process on the RPC port is never driven, even if it comes after the check."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_twisted
from peers.agent import Agent
from peers.programs import ANSWER_CALLS, Builder
from peers.waiting import until
from twisted.internet import defer, reactor
from twisted.internet.protocol import Factory, Protocol

# A load test that never listens.
LATE = "os.write(2, b'born\\n')\nsignal.pause()\n"

# Serves calls; the text before it decides which process listens, and how.
LISTEN = """
host, port = os.environ["GOLO_RPC_ADDR"].rsplit(":", 1)
connection, _ = listener(host.strip("[]"), int(port)).accept()
"""
SERVE = LISTEN + ANSWER_CALLS
PLAIN = "listener = lambda *at: socket.create_server(at)\n"
SIX = "listener = lambda *at: socket.create_server(at, family=socket.AF_INET6)\n"
DUAL = """
listener = lambda host, port: socket.create_server(
    ("::", port), family=socket.AF_INET6, dualstack_ipv6=True
)
"""
CHILD = PLAIN + "if os.fork():\n    os.wait()\n    os._exit(0)\n"
# Executes itself without the tag and loses its parent; only its session is the same.
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


class Listener:
    """A process other than a load test, which records what it receives."""

    def __init__(self) -> None:
        self.connections = 0
        self.received: list[bytes] = []

    def listen(self, host: str, port: int) -> None:
        """Listen at an address."""
        listener = self

        class Recording(Protocol):
            def connectionMade(self) -> None:
                listener.connections += 1

            def dataReceived(self, data: bytes) -> None:
                listener.received.append(data)

        self._port = reactor.listenTCP(port, Factory.forProtocol(Recording), interface=host)

    async def close(self) -> None:
        """Stop listening."""
        await defer.maybeDeferred(self._port.stopListening)


@pytest_twisted.async_yield_fixture
async def listener() -> AsyncIterator[Listener]:
    """Return a foreign listener, closed after the test."""
    listener = Listener()
    yield listener
    await listener.close()


async def check_refused(agent: Agent, listener: Listener, loadtest: Path, host: str) -> None:
    """Listen at the RPC address before the load test does, and check that the job fails."""
    job_id = await agent.queue("late", loadtest, duration=1)
    stderr = agent.run_log(job_id, "late", "err.log")
    await until(lambda: stderr.exists() and stderr.read_text() == "born\n")
    listener.listen(host, agent.rpc_port)
    job = await agent.ended(job_id)
    print(
        f"J5: a foreign listener on {host} after the check: {job['reason']}, connections "
        f"{listener.connections}, calls {job['calls']['started']}, received {listener.received}"
    )
    assert (job["state"], job["reason"]) == ("failed", "rpc-port-busy"), job
    assert job["calls"]["started"] == 0
    assert (listener.connections, listener.received) == (1, [])


async def test_j5_after_the_check(
    isolated_agent: Agent, listener: Listener, script: Builder
) -> None:
    """The agent looks up the listener before the first call: the job fails without a call."""
    await check_refused(isolated_agent, listener, script(LATE), "127.0.0.1")


@pytest.mark.parametrize("shape", SHAPES)
async def test_j5_own_processes(idle_agent: Agent, script: Builder, shape: str) -> None:
    """A load test is driven whichever of its processes listens, even without isolation."""
    idle_agent.options["--containment"] = "process-group"
    await idle_agent.start()
    job_id = await idle_agent.queue("own", script(SHAPES[shape] + SERVE), duration=1)
    job = await idle_agent.ended(job_id)
    print(f"J5: its own, {shape}: {job['state']}, calls {job['calls']['ok']}")
    assert (job["state"], job["calls"]["ok"] > 0) == ("finished", True), job


async def test_j5_ipv6(idle_agent: Agent, listener: Listener, script: Builder) -> None:
    """The same applies to IPv6."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as error:
        pytest.skip(f"no IPv6 here: {error}")
    idle_agent.options["--rpc"] = f"[::1]:{idle_agent.rpc_port}"
    await idle_agent.start()
    job_id = await idle_agent.queue("own", script(SIX + SERVE), duration=1)
    assert (await idle_agent.ended(job_id))["state"] == "finished"
    await check_refused(idle_agent, listener, script(LATE), "::1")
