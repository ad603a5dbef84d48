"""A signal stops the agent: exit code 0, nothing pending, no process left, no job run twice."""

from __future__ import annotations

import signal
import sys
from signal import Signals

import pytest
from peers.agent import Agent
from peers.collector import Collector
from peers.oracle import compare, numbers
from peers.programs import Builder
from peers.target import Target

from goloagent.host.signals import ACTIONS, Action

RESULT = '{"sequenceID":"1","url":"http://e/","method":"GET","status":200,"size":1,"timestamp":"2026-01-02T03:04:05Z","duration":1000,"error":null}\n'
INHERITED = """
import os, signal, sys
numbers = [getattr(signal, name) for name in sys.argv[2].split()]
for number in numbers:
    signal.signal(number, signal.SIG_IGN)
if sys.argv[1] == "block":
    signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
os.execvp(sys.argv[3], sys.argv[3:])
"""


async def test_idle(agent: Agent) -> None:
    """An idle agent stops, and can be started again."""
    assert await agent.stop() == 0
    await agent.start()
    assert await agent.stop() == 0


async def test_with_a_running_job(
    agent: Agent, target: Target, collector: Collector, go_loadtest: Builder
) -> None:
    """The running job ends and all its results are delivered before the agent exits."""
    job_id = await agent.queue("running", go_loadtest("httpget", target=target.url), duration=600)
    await collector.received("running", 500)
    assert await agent.stop() == 0
    await agent.nothing_left()
    emitted = [str(number) for number in range(1, target.served + 1)]
    batches = [(batch.key, batch.ids) for batch in collector.batches("running")]
    comparison = compare(emitted, agent.run_log(job_id, "running").read_bytes(), batches)
    assert comparison.exact, comparison

    pushes = len(collector.pushes)
    await agent.start()
    job = await agent.job(job_id)
    assert (job["state"], job["reason"]) == ("interrupted", "agent-stopped"), job
    assert (job["results"]["delivered"], job["results"]["pending"]) == (target.served, 0)
    assert await agent.stop() == 0
    assert len(collector.pushes) == pushes, "what was delivered is sent again after the restart"


async def test_with_queued_jobs(agent: Agent, collector: Collector, go_loadtest: Builder) -> None:
    """Queued jobs run after the restart in order; the interrupted job does not run again."""
    binary = await agent.upload(go_loadtest("counter", count=10))
    running = await agent.queue("running", binary, duration=600)
    waiting = [await agent.queue(name, binary, duration=1) for name in ("second", "third")]
    await agent.reached(running, "running")
    assert await agent.stop() == 0

    await agent.start()
    jobs = [await agent.settled(job_id) for job_id in waiting]
    assert [job["state"] for job in jobs] == ["finished", "finished"]
    assert jobs[0]["ended_at"] <= jobs[1]["started_at"]
    assert (await agent.job(running))["state"] == "interrupted"
    assert [len(collector.results(name)) for name in ("running", "second", "third")] == [10] * 3


async def test_while_the_collector_is_away(
    agent: Agent, collector: Collector, go_loadtest: Builder
) -> None:
    """Pending results are delivered once after the restart."""
    await collector.close()
    job_id = await agent.queue("kept", go_loadtest("counter", count=300), duration=1)
    job = await agent.ended(job_id)
    assert (job["state"], job["results"]["pending"]) == ("finished", 300), job
    assert job["delivery"]["state"] == "retrying"
    assert await agent.stop() == 0

    collector.open()
    await agent.start()
    job = await agent.settled(job_id)
    assert (job["state"], job["results"]["delivered"]) == ("finished", 300), job
    log = agent.run_log(job_id, "kept").read_bytes()
    batches = [(batch.key, batch.ids) for batch in collector.batches("kept")]
    assert compare(list(numbers(log)), log, batches).exact


@pytest.mark.parametrize(
    "numbers",
    [
        [Signals.SIGHUP],
        [Signals.SIGQUIT],
        [Signals.SIGINT, Signals.SIGINT],
        [Signals.SIGTERM, Signals.SIGHUP],
    ],
    ids=lambda numbers: "-".join(number.name for number in numbers),
)
async def test_each_signal_that_stops(
    agent: Agent, collector: Collector, script: Builder, numbers: list[Signals]
) -> None:
    """Each signal ends the running job in order, and a second one changes nothing."""
    # Ignores SIGTERM, so that the second signal arrives during the stop.
    stubborn = f"trap '' TERM\necho '{RESULT.strip()}'\nwhile :; do sleep 0.1; done"
    job_id = await agent.queue("job", script(stubborn, "/bin/sh"), duration=600)
    await collector.received("job", 1)
    assert await agent.signal(*numbers) == 0
    assert "Traceback" not in agent.log
    await agent.start()
    job = await agent.job(job_id)
    assert (job["state"], job["reason"]) == ("interrupted", "agent-stopped"), job


async def test_ignored_signals(agent: Agent) -> None:
    """Other signals are logged and ignored."""
    ignored = [name for name, action in ACTIONS.items() if action is Action.IGNORE]
    # Python ignores these two itself.
    ignored = [*(set(ignored) - {"SIGPIPE", "SIGXFSZ"}), "SIGUSR1", "SIGRTMIN"]
    for name in ignored:
        agent.send(getattr(signal, name))
        await agent.logged(f"{name} is ignored")
    agent.send(Signals.SIGPIPE)
    assert (await agent.request("GET", "/health")).status == 200


async def test_inherited_dispositions(idle_agent: Agent) -> None:
    """An inherited disposition keeps SIGHUP ignored, but not SIGTERM."""
    inherit = (sys.executable, "-c", INHERITED)
    idle_agent.prefix = (*inherit, "block", "SIGTERM SIGCHLD")
    await idle_agent.start()
    assert await idle_agent.stop() == 0
    idle_agent.prefix = (*inherit, "ignore", "SIGHUP SIGTERM SIGCHLD")
    await idle_agent.start()
    idle_agent.send(Signals.SIGHUP)
    idle_agent.send(Signals.SIGUSR2)
    await idle_agent.logged("SIGUSR2 is ignored")
    assert (await idle_agent.request("GET", "/health")).status == 200
    assert await idle_agent.stop() == 0


async def test_during_recovery(idle_agent: Agent) -> None:
    """A signal during recovery stops the agent in order."""
    idle_agent.launch(crash_at="recovery")
    await idle_agent.logged("hanging")
    assert await idle_agent.signal(Signals.SIGTERM) == 0
    assert "Traceback" not in idle_agent.log
