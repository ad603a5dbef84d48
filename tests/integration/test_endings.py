"""Load tests that go wrong: each job ends with its own reason, and the next one runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from peers.agent import Agent
from peers.collector import Collector
from twisted.internet import defer
from twisted.internet.protocol import Factory, Protocol

# A Python load test that takes one connection and its first bytes; what it does then follows.
TAKES_ONE_CONNECTION = """
import os, socket, time
host, port = os.environ["GOLO_RPC_ADDR"].rsplit(":", 1)
connection, _ = socket.create_server((host, int(port))).accept()
connection.recv(1)
"""


@pytest.fixture
def ends(agent: Agent, go_loadtest: Callable[..., Path]) -> Callable[..., Any]:
    """Queue a load test and a good one after it; return the first job once both are over."""

    async def run(loadtest: Path, reason: str, timeout_seconds: float = 30) -> dict[str, Any]:
        bad = await agent.queue("bad", loadtest, duration=2)
        good = await agent.queue("good", go_loadtest("counter", count=10), duration=1)
        job = await agent.settled(bad, timeout_seconds)
        assert (job["state"], job["reason"]) == ("failed", reason), job
        assert job["message"].endswith(".") or reason == "calls-failed"
        next_job = await agent.settled(good)
        assert (next_job["state"], next_job["results"]["delivered"]) == ("finished", 10), next_job
        return job

    return run


@pytest_twisted.ensureDeferred
async def test_every_call_fails(ends: Callable[..., Any], go_loadtest: Callable[..., Path]) -> None:
    """RPC errors do not stop the loop, and a run of nothing else is a failure that quotes one."""
    job = await ends(go_loadtest("counter", count=0, refuse="no such user"), "calls-failed")
    assert "no such user" in job["message"]
    assert job["calls"]["ok"] == 0
    assert job["calls"]["failed"] == job["calls"]["started"] > 25


@pytest_twisted.ensureDeferred
async def test_exits_at_once(ends: Callable[..., Any], script: Callable[..., Path]) -> None:
    """An exit before the RPC port is open is named with its code."""
    job = await ends(script("exit 3\n", "/bin/sh"), "exited")
    assert job["exit"] == {"code": 3}


@pytest_twisted.ensureDeferred
async def test_exits_at_once_with_success(
    ends: Callable[..., Any], script: Callable[..., Path]
) -> None:
    """An exit with code 0 before any call is a failure too: nothing was tested."""
    job = await ends(script("exit 0\n", "/bin/sh"), "exited")
    assert job["exit"] == {"code": 0}


@pytest_twisted.ensureDeferred
async def test_crashes_by_signal(
    ends: Callable[..., Any], collector: Collector, go_loadtest: Callable[..., Path]
) -> None:
    """What it printed before an abort is delivered, and the signal named."""
    job = await ends(go_loadtest("counter", count=1000, abort="yes"), "signalled")
    assert job["exit"] == {"signal": "SIGABRT"}
    assert "SIGABRT" in job["message"]
    assert len(collector.results("bad")) == job["results"]["delivered"] == 1000


@pytest_twisted.ensureDeferred
async def test_never_listens(ends: Callable[..., Any], script: Callable[..., Path]) -> None:
    """It is given a minute to listen, and ended then; this one test takes that minute."""
    job = await ends(script("exec sleep 600\n", "/bin/sh"), "start-timeout", timeout_seconds=75)
    assert job["exit"] == {"signal": "SIGTERM"}


@pytest_twisted.ensureDeferred
async def test_cannot_be_executed(ends: Callable[..., Any], script: Callable[..., Path]) -> None:
    """The system's reason comes with its number: the interpreter does not exist."""
    job = await ends(script("", "/nonexistent"), "exec-failed")
    assert "No such file or directory" in job["message"]
    assert "errno 2" in job["message"]


@pytest_twisted.ensureDeferred
async def test_port_is_taken(agent: Agent, go_loadtest: Callable[..., Path]) -> None:
    """A stranger on the RPC port is not driven: no load test starts, no call is made to it."""
    from twisted.internet import reactor

    heard: list[bytes] = []

    class Stranger(Protocol):
        def dataReceived(self, data: bytes) -> None:
            heard.append(data)

    loadtest = go_loadtest("counter", count=10)
    port = reactor.listenTCP(agent.rpc_port, Factory.forProtocol(Stranger), interface="127.0.0.1")
    try:
        job = await agent.ended(await agent.queue("bad", loadtest, duration=1))
    finally:
        await defer.maybeDeferred(port.stopListening)
    assert (job["state"], job["reason"]) == ("failed", "rpc-port-busy"), job
    assert job["calls"]["started"] == 0
    assert heard == []
    job = await agent.settled(await agent.queue("good", loadtest, duration=1))
    assert (job["state"], job["results"]["delivered"]) == ("finished", 10), job


@pytest_twisted.ensureDeferred
async def test_drops_the_connection_and_lives(
    ends: Callable[..., Any], script: Callable[..., Path]
) -> None:
    """A lost connection ends the job although the process goes on; nothing calls it again."""
    await ends(script(TAKES_ONE_CONNECTION + "connection.close()\ntime.sleep(600)\n"), "rpc-lost")


@pytest.mark.parametrize(
    "garbage",
    # Each is long enough to be a whole message, or to announce one that is too long.
    [b"\x01" * 64, b"HTTP/1.1 400 Bad Request\r\n" * 4, b"\xfc\x40\x00\x00\x00"],
    ids=["not gob", "http", "a message of 1 GiB"],
)
@pytest_twisted.ensureDeferred
async def test_answers_garbage(
    ends: Callable[..., Any], script: Callable[..., Path], garbage: bytes
) -> None:
    """What is not Go's net/rpc ends the job with a reason of its own."""
    text = f"{TAKES_ONE_CONNECTION}connection.sendall({garbage!r})\ntime.sleep(600)\n"
    await ends(script(text), "rpc-protocol")


@pytest_twisted.ensureDeferred
async def test_never_answers(ends: Callable[..., Any], script: Callable[..., Path]) -> None:
    """Calls that do not return are waited for, within a bound, and then given up."""
    job = await ends(script(TAKES_ONE_CONNECTION + "time.sleep(600)\n"), "calls-unanswered", 60)
    assert job["calls"]["in_flight"] == 25
