"""The bundled load tests through an agent: a command, and an HTTP request."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from peers.agent import Agent
from peers.collector import Collector
from peers.programs import Builder
from peers.scripted_server import Peer, ScriptedServer
from peers.target import BODY, Target
from peers.waiting import until
from twisted.internet import reactor, task

from goloagent import loadtests


@pytest.fixture
def bundled(tmp_path: Path) -> Builder:
    """Write a bundled load test to upload."""

    def write(name: str) -> Path:
        path = tmp_path / name
        path.write_bytes(loadtests.source(name, sys.executable))
        return path

    return write


async def delivered(
    agent: Agent, collector: Collector, name: str, job_id: str
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the job and its results, all of which reached the collector."""
    job = await agent.settled(job_id)
    results = collector.results(name)
    assert job["results"]["delivered"] == len(results) == job["results"]["read"]
    assert job["results"]["invalid"] == 0
    return job, results


async def test_a_url(agent: Agent, collector: Collector, target: Target, bundled: Builder) -> None:
    """Each request that the target served is a result."""
    job_id = await agent.queue("url", bundled("http_get"), duration=2, users=4, args=[target.url])
    job, results = await delivered(agent, collector, "url", job_id)
    assert job["state"] == "finished", job
    assert len(results) == target.served > 4
    members = {(row["method"], row["url"], row["status"], row["size"]) for row in results}
    assert members == {("GET", target.url, 200, len(BODY))}
    assert all(row["error"] is None and row["duration"] > 0 for row in results)


async def test_a_command(
    agent: Agent, collector: Collector, target: Target, bundled: Builder
) -> None:
    """Curl's requests are served, and each execution is a result."""
    args = ["--", "curl", "--silent", target.url]
    job_id = await agent.queue("exec", bundled("command"), duration=2, users=4, args=args)
    job, results = await delivered(agent, collector, "exec", job_id)
    assert job["state"] == "finished", job
    assert len(results) == target.served > 4
    members = {(row["method"], row["url"], row["status"], row["size"]) for row in results}
    assert members == {("EXEC", f"curl --silent {target.url}", 200, len(BODY))}
    assert all(row["error"] is None and row["duration"] > 0 for row in results)


async def test_a_command_that_fails(agent: Agent, collector: Collector, bundled: Builder) -> None:
    """Each execution is an error with its exit code, which the statistics have as the status."""
    args = ["sh", "-c", "echo no cart >&2; exit 3"]
    job_id = await agent.queue("fails", bundled("command"), duration=1, users=2, args=args)
    job, results = await delivered(agent, collector, "fails", job_id)
    assert job["state"] == "finished", job
    stats = (await agent.request("GET", f"/jobs/{job_id}/stats")).json
    assert stats["errors"] == stats["results"] == len(results) > 1
    [row], [reason] = stats["rows"], stats["errors_by_reason"]
    assert (row["method"], row["status"]) == ("EXEC", 3)
    assert reason["message"] == "exit code 3: no cart"


async def test_a_command_that_hangs(
    isolated_agent: Agent, collector: Collector, bundled: Builder
) -> None:
    """Its timeout ends it, with its children, in every isolation backend."""
    agent = isolated_agent
    args = ["--timeout", "0.3", "--", "sh", "-c", "sleep 60 & sleep 61"]
    job_id = await agent.queue("hangs", bundled("command"), duration=1, users=3, args=args)
    job, results = await delivered(agent, collector, "hangs", job_id)
    assert job["state"] == "finished", job
    assert job["calls"]["ok"] == len(results) >= 3
    assert {row["error"] for row in results} == {"killed after the timeout of 0.3 s"}


async def test_a_cancelled_command(
    isolated_agent: Agent, collector: Collector, bundled: Builder, tmp_path: Path
) -> None:
    """The executions in progress are killed, and are results."""
    agent = isolated_agent
    agent.options["--grace"] = "10"
    await agent.stop()
    await agent.start()
    program = bundled("command")
    started = tmp_path / "started"
    started.touch()
    args = ["sh", "-c", f"echo x >> {started}; sleep 60 & sleep 61"]
    job_id = await agent.queue("cancelled", program, duration=60, users=2, args=args)
    await until(lambda: started.read_text() == "x\n" * 2)
    assert (await agent.request("DELETE", f"/jobs/{job_id}")).status == 202
    job, results = await delivered(agent, collector, "cancelled", job_id)
    assert job["state"] == "cancelled", job
    assert len(results) == 2
    assert all(row["error"].startswith("killed ") for row in results)


@pytest.mark.parametrize("name", ["http_get", "command"])
async def test_an_agent_that_is_killed(
    agent: Agent, collector: Collector, target: Target, bundled: Builder, name: str
) -> None:
    """No process is left, and the results up to then are delivered after the restart."""
    args = [target.url] if name == "http_get" else ["sh", "-c", f"curl -s {target.url}; sleep 60"]
    if name == "command":
        args = ["--timeout", "3", "--", *args]
    job_id = await agent.queue("killed", bundled(name), duration=60, users=2, args=args)
    while not (await agent.job(job_id))["results"]["read"]:
        await task.deferLater(reactor, 0.05)
    await agent.kill()
    await agent.start()
    job, results = await delivered(agent, collector, "killed", job_id)
    assert job["state"] == "interrupted", job
    assert 0 < len(results) <= target.served


@pytest.mark.parametrize(
    ("name", "args", "code", "sentence"),
    [
        ("command", ["no-such-command"], 127, "command not found: no-such-command; "),
        ("http_get", ["http://name.invalid/"], 2, "no address of name.invalid: "),
    ],
)
async def test_wrong_arguments(
    agent: Agent, bundled: Builder, name: str, args: list[str], code: int, sentence: str
) -> None:
    """The job fails before its load begins, and its stderr has the sentence."""
    job_id = await agent.queue("wrong", bundled(name), duration=60, args=args)
    job = await agent.ended(job_id)
    assert (job["state"], job["reason"], job["exit"]) == ("failed", "exited", {"code": code})
    assert job["calls"]["started"] == 0
    assert (await agent.request("GET", f"/jobs/{job_id}/err.log")).text.startswith(sentence)


async def test_the_load_test_is_the_limit(agent: Agent, bundled: Builder) -> None:
    """Responses in tiny chunks take it much more CPU than the server."""
    response = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    response += b"1\r\nx\r\n" * 50_000 + b"0\r\n\r\n"

    def handle(peer: Peer) -> None:
        while peer.request():
            peer.send(response)

    with ScriptedServer(handle) as server:
        args = [server.url]
        job_id = await agent.queue("slow", bundled("http_get"), duration=4, users=10, args=args)
        job = await agent.ended(job_id)
    assert "loadtest-cpu" in {span["cause"] for span in job["limited"]}, str(job)
