"""DELETE /jobs/<id>: whenever it comes the job ends in order and in time, and stays in history."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest_twisted
from peers.agent import Agent, Answer
from peers.collector import Collector
from peers.notes import Notes
from peers.oracle import judge
from peers.waiting import until

import goloagent
from goloagent.runs.timeouts import Timeouts

BOUNDS = Timeouts()
# Calls that do not return, and stdout that does not fall quiet, when somebody waits for the end.
IMPATIENT_SECONDS = 6.0
SLACK_SECONDS = 2.0
RESULTS = 1000

# A load test that answers no call, and notes that it was told to end, which takes it a while.
SILENT = """
import os, signal, socket, sys, time

def told(*_):
    print("told", file=sys.stderr, flush=True)

signal.signal(signal.SIGTERM, told)
host, port = os.environ["GOLO_RPC_ADDR"].rsplit(":", 1)
connection, _ = socket.create_server((host, int(port))).accept()
"""

# Gives Python a wall clock that is an hour slow as soon as there is a certain file.
CLOCK = """
import os, time
right = time.time
time.time = lambda: right() - 3600 * os.path.exists({!r})
"""


async def cancel(agent: Agent, job_id: str) -> Answer:
    """Cancel a job."""
    return await agent.request("DELETE", f"/jobs/{job_id}")


async def ended(agent: Agent, job_id: str, seconds: float, what: str) -> dict[str, Any]:
    """Return the job once it is over, which it is within so many seconds."""
    begin = time.monotonic()
    job = await agent.settled(job_id, seconds + SLACK_SECONDS)
    print(f"cancelled {what}: {job['state']} {time.monotonic() - begin:.1f} s after it")
    return job


@pytest_twisted.ensureDeferred
async def test_queued(agent: Agent, numbered: Notes) -> None:
    """It is over with the answer and never runs; what was queued behind it runs in its turn."""
    endless = await agent.upload(numbered.script(count=-1, rate=100))
    running = await agent.queue("shop", endless, duration=600)
    waiting = await agent.queue("shop", endless, duration=600)
    behind = await agent.queue("shop", numbered.script(count=10), duration=0)
    await agent.reached(running, "running")
    answer = await cancel(agent, waiting)
    job = answer.json
    assert (answer.status, job["state"], job["reason"]) == (200, "cancelled", "cancelled")
    assert job["message"] == "The job was cancelled."
    assert job["ended_at"] is not None
    assert job["started_at"] is job["exit"] is None
    assert job["stderr_tail"] == ""
    assert (await cancel(agent, running)).status == 202
    assert (await agent.settled(behind))["state"] == "finished"
    assert await agent.job(waiting) == job
    assert numbered.starts()[waiting] == 0
    assert not agent.run_log(waiting, "shop").parent.exists()


@pytest_twisted.ensureDeferred
async def test_running(agent: Agent, collector: Collector, numbered: Notes) -> None:
    """Calls return, stdout is read to its end, and every result is delivered once."""
    program = numbered.script(count=-1, rate=5000)
    job_id = await agent.queue("shop", program, duration=600)
    await collector.received("shop", RESULTS)
    answer = await cancel(agent, job_id)
    assert (answer.status, answer.json["state"]) == (202, "stopping"), answer
    assert answer.json["ended_at"] is None
    job = await ended(agent, job_id, IMPATIENT_SECONDS, "while it prints 5,000 lines/s")
    assert (job["state"], job["reason"]) == ("cancelled", "cancelled"), job
    assert job["results"]["delivered"] == job["results"]["read"] >= RESULTS
    log = agent.run_log(job_id, "shop").read_bytes()
    verdict = judge(numbered.emitted(job_id), log, collector.of_job(job_id))
    print(f"cancelled while running: {job['results']['delivered']} delivered, {verdict}"[:200])
    assert verdict.lost == verdict.repeated == verdict.missing == verdict.never_printed == []


@pytest_twisted.ensureDeferred
async def test_twice(agent: Agent, script: Callable[..., Path]) -> None:
    """A second cancel changes nothing, nor does one of a job that is over."""
    job_id = await agent.queue("shop", script(SILENT + "time.sleep(600)\n"), duration=600)
    await agent.reached(job_id, "running")
    answers = [await cancel(agent, job_id) for _ in range(2)]
    assert [(answer.status, answer.json["state"]) for answer in answers] == [(202, "stopping")] * 2
    bound = IMPATIENT_SECONDS + BOUNDS.grace_seconds + BOUNDS.kill_seconds
    job = await ended(agent, job_id, bound, "twice, with calls that do not return")
    assert (job["state"], job["reason"]) == ("cancelled", "cancelled"), job
    assert job["exit"] == {"signal": "SIGKILL"}
    assert job["stderr_tail"] == "told"
    answer = await cancel(agent, job_id)
    assert (answer.status, answer.json) == (200, job)


@pytest_twisted.ensureDeferred
async def test_starting(agent: Agent, script: Callable[..., Path]) -> None:
    """One that does not listen yet is not waited for."""
    program = script("echo coming >&2\nexec sleep 600\n", "/bin/sh")
    job_id = await agent.queue("shop", program, duration=600)
    noted = agent.run_log(job_id, "shop", "err.log")
    await until(lambda: noted.exists() and noted.read_text() == "coming\n")
    answer = await cancel(agent, job_id)
    assert answer.status == 202, answer
    job = await ended(agent, job_id, BOUNDS.pipes_seconds, "while starting")
    assert (job["state"], job["reason"]) == ("cancelled", "cancelled"), job
    assert (job["exit"], job["stderr_tail"]) == ({"signal": "SIGTERM"}, "coming")
    assert job["calls"]["started"] == 0


@pytest_twisted.ensureDeferred
async def test_stopping_with_calls_out(agent: Agent, script: Callable[..., Path]) -> None:
    """Whoever cancels does not wait 30 s for calls that do not return."""
    program = script(SILENT + "signal.pause()\n")
    job_id = await agent.queue("shop", program, duration=1, users=3)
    await agent.reached(job_id, "stopping")
    answer = await cancel(agent, job_id)
    assert (answer.status, answer.json["state"]) == (202, "stopping"), answer
    job = await ended(agent, job_id, IMPATIENT_SECONDS, "while calls are out")
    assert (job["state"], job["reason"]) == ("cancelled", "cancelled"), job
    assert (job["exit"], job["calls"]["in_flight"]) == ({"code": 0}, 3)


@pytest_twisted.ensureDeferred
async def test_stopping_with_the_work_done(agent: Agent, script: Callable[..., Path]) -> None:
    """A load test that was told to end has done its work: the job is what it would have been."""
    answering = """
from goloagent.netrpc import Server
server = Server()
while data := connection.recv(65536):
    for call in server.receive(data):
        connection.sendall(server.reply(call))
time.sleep(1)
"""
    checkout = Path(__file__).parents[2]
    program = script(f"import sys\nsys.path.insert(0, {str(checkout)!r})\n{SILENT}{answering}")
    job_id = await agent.queue("shop", program, duration=1)
    await agent.reached(job_id, "stopping")
    noted = agent.run_log(job_id, "shop", "err.log")
    await until(lambda: noted.read_text() == "told\n")
    answer = await cancel(agent, job_id)
    assert answer.status == 202, answer
    job = await ended(agent, job_id, BOUNDS.grace_seconds, "after SIGTERM")
    assert (job["state"], job["reason"], job["stderr_tail"]) == ("finished", None, "told"), job


@pytest_twisted.ensureDeferred
async def test_history_survives_restarts(agent: Agent, numbered: Notes) -> None:
    """What was cancelled, in whatever state, is told the same by the next lives of the agent."""
    finished = await agent.queue("till", numbered.script(count=10), duration=0)
    await agent.settled(finished)
    endless = await agent.upload(numbered.script(count=-1, rate=100))
    first, second, third = [await agent.queue("shop", endless, duration=600) for _ in range(3)]
    await agent.reached(first, "running")
    await cancel(agent, second)
    await cancel(agent, first)
    await agent.settled(first)
    await agent.reached(third, "running")
    # The agent is told to end while this one does.
    await cancel(agent, third)
    assert await agent.stop() == 0
    await agent.start()
    for job_id in (first, second, third):
        job = await agent.settled(job_id)
        assert (job["state"], job["reason"]) == ("cancelled", "cancelled"), job
    history = (await agent.request("GET", "/jobs")).json
    assert [job["id"] for job in history["jobs"]] == [third, second, first, finished]
    shown = [await agent.job(job["id"]) for job in history["jobs"]]
    for end in (agent.stop, agent.kill):
        await end()
        await agent.start()
        assert (await agent.request("GET", "/jobs")).json == history
        assert [await agent.job(job["id"]) for job in history["jobs"]] == shown
    assert numbered.starts() == {finished: 1, first: 1, third: 1}


@pytest_twisted.ensureDeferred
async def test_killed_meanwhile(agent: Agent, script: Callable[..., Path]) -> None:
    """An agent that is killed before a cancelled job's end says so, and runs it no more."""
    job_id = await agent.queue("shop", script(SILENT + "time.sleep(600)\n"), duration=600)
    await agent.reached(job_id, "running")
    assert (await cancel(agent, job_id)).status == 202
    noted = agent.run_log(job_id, "shop", "err.log")
    await until(lambda: noted.read_text() == "told\n")
    await agent.kill()
    await agent.start()
    job = await agent.settled(job_id)
    assert (job["state"], job["reason"]) == ("interrupted", "agent-restart"), job
    assert job["stderr_tail"] == "told"


@pytest_twisted.ensureDeferred
async def test_the_clock_is_set_back(agent: Agent, numbered: Notes, tmp_path: Path) -> None:
    """A job ends at its deadline though the system's clock is set back while it runs."""
    back = tmp_path / "back"
    (tmp_path / "sitecustomize.py").write_text(CLOCK.format(str(back)))
    assert await agent.stop() == 0
    agent.become = ("env", f"PYTHONPATH={tmp_path}:{Path(goloagent.__file__).parents[1]}")
    await agent.start()
    endless = await agent.upload(numbered.script(count=-1, rate=100))
    job_id = await agent.queue("shop", endless, duration=2)
    await agent.reached(job_id, "running")
    back.touch()
    job = await ended(agent, job_id, 2 + IMPATIENT_SECONDS + BOUNDS.grace_seconds, "by nobody")
    assert job["state"] == "finished"
