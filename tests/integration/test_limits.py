"""Each limit of the load generator is provoked and named in the job; a clean run has none."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from peers.agent import Agent
from peers.audit import OVER
from peers.network import namespace
from peers.observer import Observer
from peers.programs import ACCEPT, Builder
from peers.target import Target
from peers.timeline import windows_of
from twisted.internet import defer, reactor, task

CLEAN_RUNS = 20


def causes(job: dict[str, Any]) -> set[str]:
    """Return the causes of a job's limits."""
    return {span["cause"] for span in job["limited"]}


async def queue(agent: Agent, program: Path, **members: Any) -> str:
    """Queue a job and return its ID."""
    binary = await agent.upload(program)
    body = json.dumps({"name": "limited", "binary": binary, **members}).encode()
    answer = await agent.request("POST", "/queue", data=body)
    assert answer.status == 201, answer
    agent.jobs.append(answer.json["id"])
    return str(answer.json["id"])


async def limited(agent: Agent, job_id: str, cause: str) -> dict[str, Any]:
    """Return the job at its end, which comes with the first second that has this limit."""
    while (job := await agent.job(job_id))["state"] not in OVER:
        if cause in causes(job):
            await agent.end_load(job_id)
            return await agent.ended(job_id)
        await task.deferLater(reactor, 0.1)
    return job


@contextmanager
def hogs(core: int, number: int) -> Iterator[None]:
    """Keep a core busy with endless loops."""
    command = ["taskset", "-c", str(core), sys.executable, "-c", "while True: pass"]
    processes = [subprocess.Popen(command) for _ in range(number)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


async def test_agent_cpu(idle_agent: Agent, go_loadtest: Builder) -> None:
    """Hogs on the agent's only core leave it too little time for the results."""
    core = min(os.sched_getaffinity(0))
    idle_agent.prefix = ("taskset", "-c", str(core))
    await idle_agent.start()
    # With fewer the agent has the time that it needs on a fast machine.
    with hogs(core, 16):
        job_id = await idle_agent.queue("hog", go_loadtest("torrent", rate=60_000), duration=30)
        job = await limited(idle_agent, job_id, "agent-cpu")
    assert "agent-cpu" in causes(job), job["limited"]


BURN = """
from goloagent.sdk import serve
def run():
    until = time.monotonic() + 0.5
    while time.monotonic() < until:
        pass
serve(run)
"""


async def test_loadtest_cpu(isolated_agent: Agent, script: Builder) -> None:
    """Two users' journeys compute, in Python's threads, of which one runs at a time."""
    agent = isolated_agent
    job_id = await agent.queue("burn", script(BURN), duration=4, users=2)
    job = await agent.ended(job_id)
    [span, *_] = [span for span in job["limited"] if span["cause"] == "loadtest-cpu"]
    assert span["to"] - span["from"] > 0.9
    assert any("loadtest-cpu" in one["limited"] for one in await windows_of(agent, job_id, 1))
    metrics = (await agent.request("GET", "/metrics")).text
    pattern = r'golo_agent_generator_limited_seconds_total\{cause="loadtest-cpu"\} (\S+)'
    assert float(re.findall(pattern, metrics)[0]) > 0.9


async def test_loop_lag(agent: Agent, go_loadtest: Builder) -> None:
    """The agent is stopped for a second in the closed model; that is an event too."""
    job_id = await agent.queue("stopped", go_loadtest("crowd"), duration=4)
    events = defer.ensureDeferred(agent.request("GET", f"/jobs/{job_id}/events"))
    [*_, last] = await windows_of(agent, job_id, 1)
    agent.send(signal.SIGSTOP)
    await task.deferLater(reactor, 1.0)
    agent.send(signal.SIGCONT)
    job = await agent.ended(job_id)
    # A busy machine adds others.
    spans = [span for span in job["limited"] if span["cause"] == "loop-lag"]
    assert spans[-1]["to"] > last["at"] + last["seconds"]
    lagging = [one for one in await windows_of(agent, job_id, 1) if "loop-lag" in one["limited"]]
    assert {span["from"] for span in spans} <= {window["at"] for window in lagging}
    seconds = sum(span["to"] - span["from"] for span in spans)
    assert seconds == pytest.approx(sum(window["seconds"] for window in lagging), abs=0.01)
    found = re.findall(r"event: limited\ndata: (.*)", (await events).text)
    assert [one["from"] for one in map(json.loads, found) if one["cause"] == "loop-lag"] == [
        one["from"] for one in job["limited"] if one["cause"] == "loop-lag"
    ]


async def test_schedule_lag(agent: Agent, go_loadtest: Builder) -> None:
    """The agent is stopped for a second in the open model."""
    job_id = await queue(agent, go_loadtest("crowd"), rate=100, duration=4)
    await windows_of(agent, job_id, 1)
    agent.send(signal.SIGSTOP)
    await task.deferLater(reactor, 1.0)
    agent.send(signal.SIGCONT)
    job = await agent.ended(job_id)
    assert {"loop-lag", "schedule-lag"} <= causes(job), job["limited"]
    assert job["calls"]["scheduled"] == 400


async def test_descriptors(
    agent: Agent, target: Target, go_loadtest: Builder, script: Builder
) -> None:
    """The load test may open 64 files, and needs one for each of 200 users."""
    target.delay_seconds = 0.2
    program = go_loadtest("httpget", target=target.url)
    few = script(f"exec prlimit --nofile=64:64 {program}\n", "/bin/sh")
    job_id = await agent.queue("descriptors", few, duration=30, users=200)
    job = await limited(agent, job_id, "descriptors")
    assert "descriptors" in causes(job), job
    assert "ports" not in causes(job)


@pytest.fixture
def few_ports() -> Iterator[None]:
    """Enter a network namespace with 50 local ports."""
    if os.geteuid() != 0:
        pytest.skip("only root can make a network namespace")
    with namespace(40_001, 40_050):
        yield


async def test_ports(few_ports: None, target: Target, agent: Agent, go_loadtest: Builder) -> None:
    """The load test needs a local port for each of 200 users, and there are 50."""
    target.delay_seconds = 0.2
    program = go_loadtest("httpget", target=target.url)
    job_id = await agent.queue("ports", program, duration=30, users=200)
    job = await limited(agent, job_id, "ports")
    assert "ports" in causes(job), job
    assert "descriptors" not in causes(job)


FLOOD = (
    ACCEPT
    + """
from goloagent.netrpc import Server

def flood():
    line = b'{"timestamp":"2026-01-02T03:04:05Z","status":200}\\nno result\\n'
    block = line * (65536 // len(line))
    while True:
        os.write(1, block)

# One of several gets a CPU in time, also if other tests keep all of them busy.
for _ in range(4):
    if not os.fork():
        flood()
server = Server()
while data := connection.recv(65536):
    for call in server.receive(data):
        time.sleep(0.01)
        connection.sendall(server.reply(call))
"""
)


async def test_stdout_blocked(idle_agent: Agent, script: Builder) -> None:
    """The load test prints more lines than the agent can parse."""
    agent = idle_agent
    agent.options["--output-timeout"] = "1"  # because the load test prints without a pause
    await agent.start()
    # Longer than other tests keep the host too busy for the flood.
    job_id = await agent.queue("flood", script(FLOOD), duration=120, users=1)
    job = await limited(agent, job_id, "stdout-blocked")
    assert "stdout-blocked" in causes(job), job["limited"]


@pytest.mark.parametrize("cause", ["cpu-steal", "memory-pressure"])
async def test_counters_of_the_host(
    idle_agent: Agent, go_loadtest: Builder, tmp_path: Path, cause: str
) -> None:
    """They are the kernel's, which a test cannot raise: here files are mounted in their place."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a file over one of /proc")
    place = {"cpu-steal": "/proc/stat", "memory-pressure": "/proc/pressure/memory"}[cause]
    if not Path(place).exists():
        pytest.skip(f"this kernel has no {place}")
    real = Path(place).read_text()
    fake = tmp_path / "fake"
    fake.write_text(real)
    mount = f'mount --bind {fake} {place} && exec "$@"'
    idle_agent.prefix = ("unshare", "--mount", "sh", "-c", mount, "sh")
    await idle_agent.start()
    job_id = await idle_agent.queue("host", go_loadtest("crowd"), duration=4)
    await windows_of(idle_agent, job_id, 1)
    if cause == "cpu-steal":
        counts = real.split("\n")[0].split()[1:]
        counts[7] = str(int(counts[7]) + 1000)
        raised = re.sub("^cpu .*", "cpu  " + " ".join(counts), real)
    else:
        raised = re.sub(
            r"total=(\d+)", lambda found: f"total={int(found[1]) + 900_000}", real, count=1
        )
    with fake.open("r+") as file:  # at once, because the agent may read it
        file.write(raised)
    job = await idle_agent.ended(job_id)
    assert cause in causes(job), job["limited"]
    [span] = [span for span in job["limited"] if span["cause"] == cause]
    assert span["to"] - span["from"] < 2


@pytest.mark.full
async def test_clean_runs(agent: Agent, target: Target, go_loadtest: Builder) -> None:
    """Twenty runs on a host that is not busy have no limit; others are repeated."""
    crowd, httpget = go_loadtest("crowd"), go_loadtest("httpget", target=target.url)
    jobs = [(crowd, {"users": 25}), (crowd, {"rate": 50}), (httpget, {"rate": 200})]
    observer, clean = Observer(), 0
    for number in range(3 * CLEAN_RUNS):
        program, load = jobs[number % len(jobs)]
        observer.start()
        job = await agent.ended(await queue(agent, program, duration=2, **load))
        busy = observer.was_delayed()
        assert job["state"] == "finished", job
        assert busy or job["limited"] == []
        clean += job["limited"] == []
        if clean == CLEAN_RUNS:
            return
    pytest.fail(f"only {clean} of {3 * CLEAN_RUNS} runs were clean, because the host was too busy")
