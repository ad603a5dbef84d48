"""The agent's log is readable for operators."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from peers.agent import Agent
from peers.collector import Collector
from peers.ports import free_port
from peers.programs import Builder

import goloagent

CHECKOUT = Path(goloagent.__file__).parents[1]
INTERNALS = (
    r"object at 0x|factory|starting on|None|FailureReason\(|JobSpec\(|State\.|Address\(|\[<"
    r"|Failure instance"
)


async def test_the_log_across_a_restart(
    idle_agent: Agent, collector: Collector, go_loadtest: Builder
) -> None:
    """It has version, page and directories, and each job's queueing, start and end or recovery.

    The collector is down, so delivery is retried many times.
    """
    agent = idle_agent
    agent.options["--collector"] = f"http://127.0.0.1:{free_port()}"
    await agent.start()
    binary = await agent.upload(go_loadtest("counter", count=10))
    first = await agent.queue("first", binary, duration=1, users=2)
    await agent.ended(first)
    second = await agent.queue("second", binary, duration=60, users=2)
    await agent.reached(second, "running")
    await agent.kill()
    agent.options["--collector"] = collector.url
    await agent.start()
    await agent.settled(second)
    protections = (await agent.request("GET", "/health")).json["protections"]
    log = agent.log
    for expected in (
        f"golo-agent {goloagent.VERSION}\n",
        f"page: http://127.0.0.1:{agent.port}/\n",
        f"collector: {collector.url}\n",
        f"directories: logs in {agent.logs}, jobs and binaries in {agent.state}\n",
        f"isolation: {protections['processes']}; file access: {protections['files']}",
        f"queue peer=127.0.0.1 job={first} name=first",
        f'job {first} starts: "first", 2 users for 1 s, binary {binary}\n',
    ):
        assert expected in log, expected
    assert re.search(
        rf"job {first} is finished after [\d.]+ s: [\d,]+ calls, 0 of them failed", log
    )
    assert re.search(
        rf"recovered job {second}, which is interrupted \(agent-restart: .+\): .+ are pending\n",
        log,
    )
    assert re.findall(rf"^.*(?:{INTERNALS}).*$", log, re.M) == []


def test_the_module_is_the_same_program() -> None:
    """``python -m goloagent`` accepts the agent's options."""
    done = subprocess.run(
        [sys.executable, "-m", "goloagent", "--version"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, f"golo-agent {goloagent.VERSION}\n"), done.stderr
