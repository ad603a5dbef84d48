"""The drives of load tests: JSON-RPC, and programs that drive themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from peers.agent import Agent
from peers.collector import Collector
from peers.programs import ACCEPT, Builder

RESULT = '{"status": 200, "duration": 5000000, "timestamp": "2024-02-29T12:00:00Z"}'
# Prints a result, and waits to be ended.
PRINTS = f"print({RESULT!r}, flush=True)\n"


async def delivered(agent: Agent, collector: Collector, name: str, job_id: str) -> dict[str, Any]:
    """Return the job, all of whose results reached the collector."""
    job = await agent.settled(job_id)
    assert job["results"]["delivered"] == len(collector.results(name)) == job["results"]["read"]
    return job


async def test_go_serves_json_rpc(agent: Agent, collector: Collector, go_loadtest: Builder) -> None:
    """Go's own net/rpc/jsonrpc, at a rate, and its errors."""
    job_id = await agent.queue("go", go_loadtest("jsonrpc"), duration=2, rate=200, drive="jsonrpc")
    job = await delivered(agent, collector, "go", job_id)
    assert job["state"] == "finished", job
    assert job["calls"]["scheduled"] == 400
    assert job["calls"]["ok"] + job["calls"]["dropped"] == 400
    refusing = go_loadtest("jsonrpc", refuse="out of carts")
    job = await agent.settled(await agent.queue("go", refusing, duration=1, drive="jsonrpc"))
    assert (job["state"], job["reason"]) == ("failed", "calls-failed")
    assert "out of carts" in job["message"]


@pytest.mark.parametrize(
    ("reply", "sentence"),
    [
        (b'{"id":7000000,"result":{},"error":null}\n', "not outstanding"),
        (b"HTTP/1.1 200 OK\n", "a reply is not JSON-RPC"),
        (b"x" * 70_000, "a reply is longer than 65536 bytes"),
    ],
)
async def test_a_wrong_reply(agent: Agent, script: Builder, reply: bytes, sentence: str) -> None:
    """The job fails with the protocol's reason, and says what is wrong."""
    text = f"{ACCEPT}connection.recv(1)\nconnection.sendall({reply!r})\nsignal.pause()\n"
    job = await agent.settled(await agent.queue("json", script(text), duration=30, drive="jsonrpc"))
    assert (job["state"], job["reason"]) == ("failed", "rpc-protocol")
    assert job["message"].startswith("The load test does not speak net/rpc/jsonrpc: ")
    assert sentence in job["message"]


async def run_alone(agent: Agent, program: Path, **members: Any) -> str:
    """Queue a program that drives itself."""
    return await agent.queue("alone", program, **{"duration": 60, **members}, drive="self")


async def test_a_program_exits_by_itself(
    agent: Agent, collector: Collector, script: Builder
) -> None:
    """Its results are delivered, and it is finished before its time; it has no RPC address."""
    text = (
        'assert "GOLO_RPC_ADDR" not in os.environ\n'
        'assert os.environ["GOLO_DURATION"] == "60"\n' + PRINTS * 3
    )
    job = await delivered(agent, collector, "alone", await run_alone(agent, script(text)))
    assert (job["state"], job["reason"], job["exit"]) == ("finished", None, {"code": 0}), job
    assert job["results"]["delivered"] == 3
    assert job["calls"]["started"] == 0
    assert job["warnings"] == []


async def test_a_program_is_ended_at_its_time(
    agent: Agent, collector: Collector, script: Builder
) -> None:
    """It gets SIGTERM, prints its last result, and is finished."""
    text = f"""
def end(number, frame):
    {PRINTS}    sys.exit(1)
signal.signal(signal.SIGTERM, end)
{PRINTS}signal.pause()
"""
    job_id = await run_alone(agent, script(text), duration=4)
    job = await delivered(agent, collector, "alone", job_id)
    assert (job["state"], job["exit"]) == ("finished", {"code": 1}), job
    assert job["results"]["delivered"] == 2
    await agent.nothing_left()


async def test_a_program_is_cancelled(agent: Agent, script: Builder) -> None:
    """With all its children."""
    text = f"if os.fork() == 0:\n    signal.pause()\n{PRINTS}signal.pause()\n"
    job_id = await run_alone(agent, script(text))
    job = await agent.reached(job_id, "running", pending=0)
    answer = await agent.request("DELETE", f"/jobs/{job_id}")
    assert answer.status == 202
    job = await agent.settled(job_id)
    assert (job["state"], job["reason"]) == ("cancelled", "cancelled")
    await agent.nothing_left()


@pytest.mark.parametrize(
    ("end", "reason", "process_exit"),
    [
        ("sys.exit(3)", "exited", {"code": 3}),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "signalled", {"signal": "SIGSEGV"}),
    ],
)
async def test_a_program_fails(
    agent: Agent, script: Builder, end: str, reason: str, process_exit: dict[str, Any]
) -> None:
    """Its results stay, and its exit is the reason."""
    job = await agent.settled(await run_alone(agent, script(f"{PRINTS}{end}\n")))
    assert (job["state"], job["reason"], job["exit"]) == ("failed", reason, process_exit), job
    assert job["results"]["delivered"] == 1


async def test_the_time_of_a_program_is_changed(agent: Agent, script: Builder) -> None:
    """While it runs; it has no load of the agent that could be changed."""
    job_id = await run_alone(agent, script("signal.pause()\n"))
    await agent.reached(job_id, "running")
    answer = await agent.request("PATCH", f"/jobs/{job_id}", json={"users": 5})
    assert (answer.status, answer.text.strip()) == (
        422,
        "this job drives itself: give duration only",
    )
    answer = await agent.request("PATCH", f"/jobs/{job_id}", json={"duration": 0})
    assert answer.status == 200, answer
    assert (await agent.settled(job_id))["state"] == "finished"
