"""Streams of logs and events: to the end, to many clients, with stalled and closed ones."""

from __future__ import annotations

import hashlib
import json
import socket
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from peers import prober
from peers.agent import Agent, Response
from peers.programs import Builder
from peers.waiting import until
from twisted.internet import defer, reactor, task
from twisted.internet.threads import deferToThread
from twisted.internet.utils import getProcessOutput

LINES_PER_SECOND = 100_000
FOLLOWERS = 50
MIB = 1024 * 1024
# The state in /proc/net/tcp.
ESTABLISHED = "01"


def response_of(agent: Agent, path: str, **headers: str) -> defer.Deferred[Response]:
    """Return the response of a stream after its end."""
    return defer.ensureDeferred(agent.request("GET", path, headers=headers))


def events(answer: Response) -> list[tuple[str, Any]]:
    """Return the kind and data of each event."""
    found = []
    for block in answer.text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line)
        if "data" in fields:
            found.append((fields["event"], json.loads(fields["data"])))
    return found


def states(answer: Response) -> list[str]:
    """Return the states in the events."""
    return [data["state"] for kind, data in events(answer) if kind == "state"]


def stream(agent: Agent, path: str, receive_bytes: int | None = None) -> socket.socket:
    """Open a stream and return its connection after the headers have arrived."""
    connection = socket.socket()
    if receive_bytes is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    connection.settimeout(10)
    connection.connect(("127.0.0.1", agent.port))
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    assert connection.recv(12) == b"HTTP/1.1 200"
    return connection


def is_open(agent: Agent, client: socket.socket) -> bool:
    """Whether the agent's end of a connection is open."""
    ends = [f"0100007F:{port:04X}" for port in (agent.port, client.getsockname()[1])]
    table = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
    return any(line[1:3] == ends and line[3] == ESTABLISHED for line in table)


def readers(agent: Agent, log: Path) -> int:
    """Return the number of open descriptors of a log in the agent."""
    found = 0
    for link in Path(f"/proc/{agent.pid}/fd").iterdir():
        try:
            found += link.readlink() == log
        except FileNotFoundError:
            continue  # closed since
    return found


async def test_from_the_queue_to_the_end(agent: Agent, go_loadtest: Builder) -> None:
    """A client that follows a queued job gets every byte of its log, and all events."""
    binary = await agent.upload(go_loadtest("torrent", rate=5000))
    first = await agent.queue("first", binary, duration=1)
    job_id = await agent.queue("second", binary, duration=3)
    followed = response_of(agent, f"/jobs/{job_id}/out.log?follow=1")
    events_of_job = response_of(agent, f"/jobs/{job_id}/events")
    await agent.settled(first)
    await agent.settled(job_id)
    answer = await followed
    log = agent.run_log(job_id, "second").read_bytes()
    assert len(log) > 10_000
    assert hashlib.sha256(answer.text.encode()).digest() == hashlib.sha256(log).digest()
    answer = await events_of_job
    assert states(answer) == ["queued", "starting", "running", "stopping", "finished"]
    progress = [data for kind, data in events(answer) if kind == "progress"]
    assert len(progress) >= 2
    assert max(data["results_per_second"] for data in progress) > 100
    assert 0.001 < progress[-1]["latency_total"]["max"] < 0.002
    statistics = (await agent.request("GET", f"/jobs/{job_id}/stats")).json
    assert statistics["results"] == log.count(b"\n")
    assert len(statistics["rows"]) == 10


async def test_statistics_are_rebuilt(agent: Agent, go_loadtest: Builder) -> None:
    """If their file is missing or damaged, those of results are rebuilt and stored."""
    job_id = await agent.queue("shop", go_loadtest("torrent", rate=5000), duration=1)
    await agent.settled(job_id)
    path = f"/jobs/{job_id}/stats"
    kept = (await agent.request("GET", path)).json
    assert kept["results"] > 0
    file = agent.run_log(job_id, "shop", "stats.json")
    text = file.read_bytes()
    for damage in (file.unlink, lambda: file.write_bytes(text[:-7])):
        damage()
        answers = await defer.gatherResults([response_of(agent, path) for _ in range(10)])
        for answer in answers:
            rebuilt = answer.json
            assert {**rebuilt, "calls": 0, "failed_calls": 0} == {
                **kept,
                "calls": 0,
                "failed_calls": 0,
            }
        assert file.stat().st_size > len(text) / 2


async def test_a_follower_that_disconnects(agent: Agent, go_loadtest: Builder) -> None:
    """A closed follower's file is closed, and the job and other followers continue."""
    job_id = await agent.queue("shop", go_loadtest("torrent", rate=1000), duration=4)
    await agent.reached(job_id, "running")
    path, log = f"/jobs/{job_id}/out.log?follow=1", agent.run_log(job_id, "shop")
    before = readers(agent, log)
    stays = response_of(agent, path)
    goes = [stream(agent, path) for _ in range(5)]
    while readers(agent, log) < before + 6:
        await _soon()
    for connection in goes:
        connection.close()
    while readers(agent, log) > before + 1:
        await _soon()
    await agent.ended(job_id)
    assert (await stays).text.encode() == log.read_bytes()
    assert readers(agent, log) <= before


async def test_a_large_log(agent: Agent, go_loadtest: Builder) -> None:
    """A log of 100 MB is sent in whole and in parts in little memory, with stalled clients too."""
    job_id = await agent.queue("shop", go_loadtest("counter", count=1), duration=1)
    await agent.settled(job_id)
    path, log = f"/jobs/{job_id}/out.log", agent.run_log(job_id, "shop")
    printed = log.stat().st_size
    with log.open("ab") as file:
        file.writelines(bytes([number]) * MIB for number in range(100))
    size = log.stat().st_size
    await agent.request("GET", path, headers={"Range": "bytes=0-1000000"})
    before = agent.resident_bytes
    stalled = [stream(agent, path) for _ in range(5)]
    part = await agent.request("GET", path, headers={"Range": f"bytes={size - MIB}-"})
    assert part.status == 206
    assert part.text == "c" * MIB
    digest, most = hashlib.sha256(), 0
    with stream(agent, path) as connection:
        received = b""
        while b"\r\n\r\n" not in received:
            received += connection.recv(1)
        left = size
        while left:
            data = await deferToThread(connection.recv, MIB)
            assert data
            digest.update(data)
            left -= len(data)
            most = max(most, agent.resident_bytes)
    for connection in stalled:
        connection.close()
    assert digest.digest() == hashlib.sha256(log.read_bytes()).digest()
    print(f"sending 100 MB took {(most - before) / MIB:.1f} MiB of memory")
    assert most - before < 32 * MIB
    with log.open("r+b") as file:
        file.truncate(printed)


async def test_a_restart_in_between(agent: Agent, go_loadtest: Builder) -> None:
    """A client that reconnects after a kill gets the job's last state once."""
    job_id = await agent.queue("shop", go_loadtest("torrent", rate=100), duration=60)
    await agent.reached(job_id, "running")
    path = f"/jobs/{job_id}/events"
    cut = stream(agent, path)
    await agent.kill()
    cut.close()
    await agent.start()
    answer = await response_of(agent, path, **{"Last-Event-ID": "running"})
    assert states(answer) == ["interrupted"]
    answer = await response_of(agent, path, **{"Last-Event-ID": "interrupted"})
    assert (answer.status, answer.text) == (204, "")


async def test_a_stop_of_the_agent(agent: Agent, go_loadtest: Builder) -> None:
    """A stop of the agent sends the job's last state to its followers."""
    job_id = await agent.queue("shop", go_loadtest("torrent", rate=100), duration=60)
    await agent.reached(job_id, "running")
    events_of_job = response_of(agent, f"/jobs/{job_id}/events")
    following_too = stream(agent, f"/jobs/{job_id}/events")  # begun after the first stream
    assert await agent.stop() == 0
    assert states(await events_of_job)[-1] == "interrupted"
    following_too.close()


@pytest.mark.full
async def test_fifty_followers_at_full_speed(idle_agent: Agent, go_loadtest: Builder) -> None:
    """At 100,000 lines/s all clients get events every second, and a stalled one is dropped."""
    agent = idle_agent
    agent.options["--max-connections-per-peer"] = "64"  # all clients are on this host
    await agent.start()
    job_id = await agent.queue(
        "torrent", go_loadtest("torrent", rate=LINES_PER_SECOND), duration=600
    )
    await agent.reached(job_id, "running")
    begin = time.monotonic()
    path = f"/jobs/{job_id}/events"
    events_of_job = [response_of(agent, path) for _ in range(FOLLOWERS)]
    stalled = stream(agent, path, receive_bytes=1024)
    assert is_open(agent, stalled)
    output = await getProcessOutput(
        sys.executable, [prober.__file__, str(agent.port), "10"], reactor=reactor, errortoo=True
    )
    took = sorted(json.loads(output))
    # A stalled connection buffers some events, and is dropped 10 s later.
    await until(lambda: not is_open(agent, stalled), 120)
    assert (await agent.job(job_id))["state"] == "running"
    stalled.close()
    seconds = time.monotonic() - begin
    await agent.end_load(job_id)
    job = await agent.ended(job_id, timeout_seconds=120)
    lines = job["results"]["read"] / seconds
    print(
        f"{lines:,.0f} lines/s, {FOLLOWERS} followers: /health p50"
        f" {took[len(took) // 2]:.1f} ms, p99 {took[len(took) * 99 // 100]:.1f} ms,"
        f" max {took[-1]:.1f} ms, {len(took)} requests"
    )
    print(agent.run_log(job_id, "torrent", "err.log").read_text().strip())
    assert job["state"] == "finished", job
    answers = await defer.gatherResults(events_of_job)
    for answer in answers:
        assert states(answer)[-1] == "finished"
        counts = [data for kind, data in events(answer) if kind == "progress"]
        assert len(counts) >= 5
    await agent.settled(job_id, timeout_seconds=120)


async def _soon() -> None:
    await task.deferLater(reactor, 0.05)
