"""D7: what is uploaded cannot reach the agent's own things."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_twisted
from peers.agent import Agent
from peers.collector import Collector

TOKEN = "d7-token"
# A load test that tries to get at what it is told, and says how far it came.
BURGLAR = """
import json, os, sys
given = json.loads({given!r})
reached = []
for path in given["paths"]:
    for kind, flags in (("read", os.O_RDONLY), ("write", os.O_WRONLY)):
        try:
            descriptor = os.open(path, flags)
        except OSError:
            continue
        reached.append(kind + " " + path)
        os.close(descriptor)
for path in given["directories"]:
    for kind, attempt in (
        ("list", lambda: os.listdir(path)),
        ("plant in", lambda: os.close(os.open(path + "/planted", os.O_CREAT | os.O_WRONLY))),
    ):
        try:
            attempt()
        except OSError:
            continue
        reached.append(kind + " " + path)
for name in ("environ", "fd", "mem", "maps", "root", "cwd"):
    path = "/proc/%d/%s" % (given["agent"], name)
    try:
        os.listdir(path) if name in ("fd", "root", "cwd") else open(path, "rb").read(1)
    except OSError:
        continue
    reached.append(path)
for number in (0, 15):
    try:
        os.kill(given["agent"], number)
    except OSError:
        continue
    reached.append("signal %d" % number)
tried = 2 * len(given["paths"]) + 2 * len(given["directories"]) + 8
fds = "/proc/self/fd/"
descriptors = [name for name in os.listdir(fds) if os.path.exists(fds + name)]
print(json.dumps([reached, tried, dict(os.environ), descriptors]), file=sys.stderr)
"""
HARMLESS = 'import sys\nprint("secret of another", file=sys.stderr)\n'


@pytest_twisted.async_yield_fixture
async def agent(collector: Collector) -> AsyncIterator[Agent]:
    """An agent of root's with a token, whose load tests are nobody's."""
    from twisted.internet import reactor

    if os.geteuid() != 0:
        print("D7: not tried: only root can become another user")
        pytest.skip("only root can become another user")
    # Not pytest's directory: it keeps everybody out by itself.
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o755)
        agent = Agent(reactor, directory, collector)
        token = directory / "token"
        token.write_text(TOKEN)
        token.chmod(0o600)
        agent.options |= {"--run-as": "nobody", "--token-file": str(token)}
        await agent.start()
        yield agent
        await agent.finish()


@pytest_twisted.ensureDeferred
async def test_d7_reaches_nothing(agent: Agent, tmp_path: Path) -> None:
    """Not the token, the database, another job's files, the agent's memory, nor the agent."""
    # One Python that nobody, too, may run.
    python = shutil.which("python3", path="/usr/bin:/usr/local/bin") or sys.executable

    async def tail_of(name: str, text: str) -> str:
        program = tmp_path / name
        program.write_text(f"#!{python}\n{text}")
        job = await agent.ended(await agent.queue(name, program, duration=1))
        assert job["reason"] not in {"exec-failed", "spawn-failed"}, job
        return job["stderr_tail"]

    assert "secret of another" in await tail_of("other", HARMLESS)
    [other] = (agent.logs / "other").glob("*-*")
    files = [path for path in agent.state.rglob("*") if path.is_file()]
    files += [agent.state.parent / "token", other / "out.log", other / "err.log"]
    assert (agent.state / "golo-agent.sqlite") in files
    directories = [agent.state, agent.logs, other, *filter(Path.is_dir, agent.state.iterdir())]
    given = {
        "agent": agent.pid,
        "paths": list(map(str, files)),
        "directories": list(map(str, directories)),
    }
    told = await tail_of("burglar", BURGLAR.format(given=json.dumps(given)))
    reached, tried, environment, descriptors = json.loads(told)
    print(f"D7: {tried} ways to the agent's own things tried as nobody, {len(reached)} open")
    assert reached == []
    assert descriptors == ["0", "1", "2"]
    assert TOKEN not in str(environment)
    assert {*environment} <= {"PATH", "HOME", "LANG", "TMPDIR", "GOLO_RPC_ADDR", "GOLO_JOB"}


@pytest_twisted.ensureDeferred
async def test_d7_the_token_is_told_nowhere(agent: Agent, go_loadtest: Callable[..., Path]) -> None:
    """Not in the agent's arguments and environment, its log, its answers, or what it keeps."""
    job = await agent.settled(
        await agent.queue("shop", go_loadtest("counter", count=10), duration=1)
    )
    assert job["state"] == "finished"
    proc = Path(f"/proc/{agent.pid}")
    places = {name: (proc / name).read_bytes() for name in ("cmdline", "environ")}
    for path in ("/health", "/metrics", "/openapi.json", "/", "/jobs", f"/jobs/{job['id']}"):
        places[path] = (await agent.request("GET", path)).text.encode()
    places["refusal"] = (
        await agent.request("GET", "/health", headers={"Authorization": f"Bearer {TOKEN}x"})
    ).text.encode()
    assert await agent.stop() == 0
    places["log"] = agent.log.encode()
    for path in [*agent.state.rglob("*"), *agent.logs.rglob("*")]:
        if path.is_file():
            places[str(path)] = path.read_bytes()
    print(f"D7: the token is in none of {len(places)} places")
    assert b"queue peer=127.0.0.1" in places["log"]
    assert b"refuse peer=127.0.0.1 status=401" in places["log"]
    assert [name for name, content in places.items() if TOKEN.encode() in content] == []
