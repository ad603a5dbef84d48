"""DELETE /jobs/<id> ends a job in any state, in order and in time; its record stays."""

from __future__ import annotations

from pathlib import Path

from peers.agent import Agent, Response
from peers.collector import Collector
from peers.notes import Notes
from peers.oracle import compare
from peers.programs import ACCEPT, ANSWER_CALLS, Builder
from peers.waiting import until

import goloagent

# Less than the drain timeout without a cancel.
MAX_SECONDS = 25
RESULTS = 1000

# A load test that answers no call, and prints when it gets SIGTERM.
SILENT = (
    """
def print_signal(*_):
    print("SIGTERM", file=sys.stderr, flush=True)

signal.signal(signal.SIGTERM, print_signal)
"""
    + ACCEPT
)

# Sets Python's wall clock back by an hour once a file exists.
CLOCK = """
import os, time
right = time.time
time.time = lambda: right() - 3600 * os.path.exists({!r})
"""


async def cancel(agent: Agent, job_id: str) -> Response:
    """Cancel a job."""
    return await agent.request("DELETE", f"/jobs/{job_id}")


async def test_queued(agent: Agent, numbered: Notes) -> None:
    """A queued job is over at once and never runs; the jobs behind it run in order."""
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


async def test_running(agent: Agent, collector: Collector, numbered: Notes) -> None:
    """Calls in flight return, stdout is read to its end, and each result is delivered once."""
    program = numbered.script(count=-1, rate=5000)
    job_id = await agent.queue("shop", program, duration=600)
    await collector.received("shop", RESULTS)
    answer = await cancel(agent, job_id)
    assert (answer.status, answer.json["state"]) == (202, "stopping"), answer
    assert answer.json["ended_at"] is None
    job = await agent.settled(job_id, MAX_SECONDS)
    assert (job["state"], job["reason"]) == ("cancelled", "cancelled"), job
    assert job["results"]["delivered"] == job["results"]["read"] >= RESULTS
    log = agent.run_log(job_id, "shop").read_bytes()
    comparison = compare(numbered.emitted(job_id), log, collector.of_job(job_id))
    assert (
        comparison.lost
        == comparison.repeated
        == comparison.missing
        == comparison.never_printed
        == []
    )


async def test_twice(idle_agent: Agent, script: Builder) -> None:
    """A second cancel changes nothing, nor does one of a job that is over."""
    agent = idle_agent
    agent.options |= {"--drain-timeout": "0.5", "--output-timeout": "0.5"}
    await agent.start()
    job_id = await agent.queue("shop", script(SILENT + "time.sleep(600)\n"), duration=600)
    await agent.reached(job_id, "running")
    answers = [await cancel(agent, job_id) for _ in range(2)]
    assert [(answer.status, answer.json["state"]) for answer in answers] == [(202, "stopping")] * 2
    job = await agent.settled(job_id)
    assert (job["state"], job["reason"]) == ("cancelled", "cancelled"), job
    assert job["exit"] == {"signal": "SIGKILL"}
    assert job["stderr_tail"] == "SIGTERM"
    answer = await cancel(agent, job_id)
    assert (answer.status, answer.json) == (200, job)


async def test_starting(agent: Agent, script: Builder) -> None:
    """A load test that does not listen yet gets SIGTERM at once."""
    program = script("echo coming >&2\nexec sleep 600\n", "/bin/sh")
    job_id = await agent.queue("shop", program, duration=600)
    stderr = agent.run_log(job_id, "shop", "err.log")
    await until(lambda: stderr.exists() and stderr.read_text() == "coming\n")
    answer = await cancel(agent, job_id)
    assert answer.status == 202, answer
    job = await agent.settled(job_id)
    assert (job["state"], job["reason"]) == ("cancelled", "cancelled"), job
    assert (job["exit"], job["stderr_tail"]) == ({"signal": "SIGTERM"}, "coming")
    assert job["calls"]["started"] == 0


async def test_stopping_with_calls_in_flight(agent: Agent, script: Builder) -> None:
    """A cancel shortens the drain timeout of calls that do not return."""
    program = script(SILENT + "signal.pause()\n")
    job_id = await agent.queue("shop", program, duration=1, users=3)
    await agent.reached(job_id, "stopping")
    answer = await cancel(agent, job_id)
    assert (answer.status, answer.json["state"]) == (202, "stopping"), answer
    job = await agent.settled(job_id, MAX_SECONDS)
    assert (job["state"], job["reason"]) == ("cancelled", "cancelled"), job
    assert (job["exit"], job["calls"]["in_flight"]) == ({"code": 0}, 3)


async def test_stopping_with_the_work_done(
    idle_agent: Agent, script: Builder, tmp_path: Path
) -> None:
    """A cancel after SIGTERM changes nothing, because the load test has done its work."""
    agent, end = idle_agent, tmp_path / "end"
    agent.options["--grace"] = "60"
    await agent.start()
    wait = f"while not os.path.exists({str(end)!r}):\n    time.sleep(0.01)\n"
    program = script(f"{SILENT}{ANSWER_CALLS}{wait}")
    job_id = await agent.queue("shop", program, duration=1)
    await agent.reached(job_id, "stopping")
    stderr = agent.run_log(job_id, "shop", "err.log")
    await until(lambda: stderr.read_text() == "SIGTERM\n")
    answer = await cancel(agent, job_id)
    assert answer.status == 202, answer
    end.touch()
    job = await agent.settled(job_id)
    assert (job["state"], job["reason"], job["stderr_tail"]) == ("finished", None, "SIGTERM"), job


async def test_history_survives_restarts(agent: Agent, numbered: Notes) -> None:
    """After restarts the agent reports cancelled jobs unchanged."""
    finished = await agent.queue("till", numbered.script(count=10), duration=0)
    await agent.settled(finished)
    endless = await agent.upload(numbered.script(count=-1, rate=100))
    first, second, third = [await agent.queue("shop", endless, duration=600) for _ in range(3)]
    await agent.reached(first, "running")
    await cancel(agent, second)
    await cancel(agent, first)
    await agent.settled(first)
    await agent.reached(third, "running")
    # The agent stops while this job is being stopped.
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


async def test_killed_before_the_end(agent: Agent, script: Builder) -> None:
    """A cancelled job is interrupted if the agent is killed before the job's end."""
    job_id = await agent.queue("shop", script(SILENT + "time.sleep(600)\n"), duration=600)
    await agent.reached(job_id, "running")
    assert (await cancel(agent, job_id)).status == 202
    stderr = agent.run_log(job_id, "shop", "err.log")
    await until(lambda: stderr.read_text() == "SIGTERM\n")
    await agent.kill()
    await agent.start()
    job = await agent.settled(job_id)
    assert (job["state"], job["reason"]) == ("interrupted", "agent-restart"), job
    assert job["stderr_tail"] == "SIGTERM"


async def test_the_clock_is_set_back(agent: Agent, numbered: Notes, tmp_path: Path) -> None:
    """A job ends after its duration although the system's clock is set back."""
    back = tmp_path / "back"
    (tmp_path / "sitecustomize.py").write_text(CLOCK.format(str(back)))
    assert await agent.stop() == 0
    agent.prefix = ("env", f"PYTHONPATH={tmp_path}:{Path(goloagent.__file__).parents[1]}")
    await agent.start()
    endless = await agent.upload(numbered.script(count=-1, rate=100))
    job_id = await agent.queue("shop", endless, duration=2)
    await agent.reached(job_id, "running")
    back.touch()
    assert (await agent.settled(job_id))["state"] == "finished"
