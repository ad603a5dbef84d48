"""The agent's log is readable for operators."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from peers.agent import TWISTD, Agent
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


async def test_the_log_as_json(agent: Agent, go_loadtest: Builder) -> None:
    """Every line is an object; those of a job have its id; no value of a variable is in it."""
    await agent.stop()
    agent.options["--log-format"] = "json"
    text = len(agent.log)
    await agent.start()
    secret = "s3cret-55c0"
    job = await agent.queue("a", go_loadtest("counter", count=10), 1, 1, env={"KEY": secret})
    await agent.settled(job)
    assert await agent.stop() == 0
    lines = [json.loads(line) for line in agent.log[text:].splitlines()]
    assert all({"time", "level", "namespace", "message"} <= line.keys() for line in lines)
    assert lines[0]["message"].startswith("twistd")
    assert f"golo-agent {goloagent.VERSION}" in [line["message"] for line in lines]
    [queued] = [line for line in lines if line.get("action") == "queue"]
    assert (queued["job"], queued["peer"]) == (job, "127.0.0.1")
    assert any(line.get("job") == job and "is finished" in line["message"] for line in lines)
    assert secret not in agent.log


@pytest.mark.parametrize(
    ("options", "file"),
    [((), "twistd.log"), (("--logfile=agent.log",), "agent.log")],
    ids=["default", "named"],
)
def test_a_daemon_logs_json_to_its_file(
    idle_agent: Agent, tmp_path: Path, options: tuple[str, ...], file: str
) -> None:
    """A start that fails is in the file as JSON, and on the terminal as a sentence."""
    with socket.create_server(("127.0.0.1", idle_agent.port)):
        done = subprocess.run(
            [
                *(str(TWISTD), f"--pidfile={tmp_path}/pid", *options),
                *("golo-agent", "--log-format=json", *idle_agent.arguments),
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert done.returncode == 1
    sentence = f"--listen {idle_agent.options['--listen']}: Address already in use"
    assert sentence in done.stderr
    lines = (tmp_path / file).read_text(encoding="utf-8").splitlines()
    [critical] = [found for line in lines if (found := json.loads(line))["level"] == "critical"]
    assert sentence in critical["message"]
    assert "traceback" not in critical
    # The daemon removes its lock when it ends, after its parent.
    subprocess.run(["flock", "-w", "10", idle_agent.state / "lock", "true"], check=True)


def test_two_formats_are_refused(tmp_path: Path) -> None:
    """A ``--logger`` of twistd has a format of its own."""
    done = subprocess.run(
        [
            *(str(TWISTD), "-n", "--logger=twisted.logger.globalLogPublisher"),
            *("golo-agent", "--log-format=json"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("golo-agent: --log-format json: twistd's --logger")


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
