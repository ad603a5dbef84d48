"""D7: what is uploaded cannot reach the agent's own things."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import pytest_twisted
from peers import forbidding, somebody
from peers.agent import Agent
from peers.certificate import self_signed
from peers.collector import Collector
from peers.ports import free_port
from peers.somebody import Nobody, Unable

from goloagent.sandbox import cgroup

TOKEN = "d7-token"
BURGLAR = Path(__file__).parents[2] / "loadtests" / "burglar.py"
HARMLESS = 'import sys\nprint("secret of another", file=sys.stderr)\n'
# One Python that nobody, too, may run.
PYTHON = shutil.which("python3", path="/usr/bin:/usr/local/bin") or sys.executable


@pytest.fixture
def nobody(request: pytest.FixtureRequest) -> Iterator[Nobody | None]:
    """Nobody, whose load tests the containment that was asked for holds; None for root."""
    with ExitStack() as stack:
        if request.param is None:
            yield None
            return
        try:
            able = stack.enter_context(somebody.nobody(request.param))
        except Unable as unable:
            print(f"D7: not tried with the agent's own user: {unable}")
            pytest.skip(str(unable))
        yield able


@pytest.fixture
def mirror() -> Iterator[Path]:
    """Where a mount shows all that the agent has, too."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest_twisted.async_yield_fixture
async def agent(nobody: Nobody | None, mirror: Path, collector: Collector) -> AsyncIterator[Agent]:
    """An agent with a token and a key for TLS, of root or nobody; its load tests are nobody's."""
    from twisted.internet import reactor

    if os.geteuid() != 0:
        print("D7: not tried: only root can become another user")
        pytest.skip("only root can become another user")
    # Not pytest's directory: it keeps everybody out by itself.
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o755)
        agent = Agent(reactor, directory, collector)
        secrets = directory / "etc"
        secrets.mkdir()
        (secrets / "beside").write_text("not secret")
        (secrets / "token").write_text(TOKEN)
        (secrets / "key.pem").write_bytes(self_signed("127.0.0.1"))
        for secret in ("token", "key.pem"):
            (secrets / secret).chmod(0o600)
        agent.options |= {
            "--run-as": "nobody",
            "--token-file": str(secrets / "token"),
            f"--listen=ssl:{free_port()}:interface=127.0.0.1:privateKey={secrets / 'key.pem'}": "",
        }
        mount = f'mount --bind {name} {mirror} && exec "$@"'
        agent.become = ("unshare", "--mount", "/bin/sh", "-c", mount, "sh")
        if nobody is not None:
            for path in (directory, *directory.rglob("*")):
                shutil.chown(path, "nobody")
            agent.become += nobody.become
            agent.options["--containment"] = nobody.containment
        await agent.start()
        yield agent
        await agent.finish()


def things_of(agent: Agent, other: str, mirror: Path) -> dict[str, list[str]]:
    """Return every file and directory that is the agent's alone, `other` being a job of before."""
    home = agent.state.parent
    work = agent.state / "work" / "of-another"
    work.mkdir(mode=0o700)
    (work / "secret").write_text("secret of another")
    for path in (work, work / "secret"):
        shutil.chown(path, agent.state.stat().st_uid)
    found = [*agent.state.rglob("*"), *agent.run_log(other, "other").parent.iterdir()]
    files = [path for path in found if path.is_file()]
    files += [Path(agent.options["--token-file"]).with_name(name) for name in ("token", "key.pem")]
    directories = [agent.state, agent.logs, *(path for path in found if path.is_dir())]
    assert agent.state / "golo-agent.sqlite" in files
    for paths in (files, directories):
        paths += [mirror / path.relative_to(home) for path in paths if path.parent.parent == home]
    assert {agent.state / "binaries", work} <= {*directories}
    return {"files": [*map(str, files)], "directories": [*map(str, directories)]}


def cgroup_of(agent: Agent) -> str | None:
    """Return the cgroup by which the agent could be stopped and ended, if there is one."""
    proc = Path(f"/proc/{agent.pid}")
    found = cgroup.find_cgroup((proc / "cgroup").read_text(), (proc / "mountinfo").read_text())
    return None if found is None else str(found)


@pytest.mark.parametrize(
    "nobody",
    [None, "pid-namespace", "cgroup", "process-group"],
    ids=lambda isolation: isolation or "agent-is-root",
    indirect=True,
)
@pytest_twisted.ensureDeferred
async def test_d7_reaches_nothing(
    agent: Agent, nobody: Nobody | None, mirror: Path, tmp_path: Path
) -> None:
    """Not the token, the database, another job's files, the agent's memory, nor the agent."""
    protections = (await agent.request("GET", "/health")).json["protections"]
    if nobody is not None and protections["files"] != "landlock":
        [why] = [line for line in agent.log.splitlines() if "by their owner alone" in line]
        print(f"D7: not tried with the agent's own user: {why}")
        pytest.skip(why)

    async def said_by(name: str, text: str) -> tuple[str, str]:
        program = tmp_path / name
        program.write_text(f"#!{PYTHON}\n{text}")
        job = await agent.ended(await agent.queue(name, program, duration=1))
        assert job["reason"] not in {"exec-failed", "spawn-failed"}, job
        return job["id"], agent.run_log(job["id"], name, "err.log").read_text()

    other, said = await said_by("other", HARMLESS)
    assert "secret of another" in said
    beside = str(Path(agent.options["--token-file"]).with_name("beside"))
    given = {"agent": agent.pid, "port": agent.port, "beside": beside}
    given |= things_of(agent, other, mirror) | {"cgroup": cgroup_of(agent)}
    # Load tests in Python read it; nothing else may be done to it.
    given["readable"] = ["/state/sdk.zip"]
    _, said = await said_by("burglar", f"{BURGLAR.read_text()}\nmain({given!r})\n")
    told = json.loads(said)
    whose = "root's agent" if nobody is None else f"an agent of the same user, {nobody.containment}"
    print(
        f"D7: {told['tried']} ways to the things of {whose} tried, "
        f"{len(told['reached'])} open, files kept by {protections['files']}"
    )
    assert told["reached"] == []
    assert given["cgroup"] is None or told["controllers"] is not None
    assert (told["beside"], told["own"]) == ("not secret", ["loadtest", "own"])
    assert told["descriptors"] == ["0", "1", "2"]
    assert TOKEN not in str(told["environment"])
    allowed = {"PATH", "HOME", "LANG", "TMPDIR", "GOLO_RPC_ADDR", "GOLO_JOB"}
    allowed |= {"PYTHONPATH", "PYTHONUNBUFFERED"}
    assert {*told["environment"]} <= allowed


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM])
@pytest_twisted.ensureDeferred
async def test_d7_without_landlock(
    idle_agent: Agent, go_loadtest: Callable[..., Path], number: int
) -> None:
    """Where the kernel has none, it is off, or forbidden: jobs run as ever, and it is told."""
    idle_agent.become = forbidding.command(number)
    await idle_agent.start()
    assert (await idle_agent.request("GET", "/health")).json["protections"]["files"] == "owner"
    why = f"by their owner alone: keep from what is closed: {os.strerror(number)}"
    assert why in idle_agent.log
    job = await idle_agent.settled(
        await idle_agent.queue("shop", go_loadtest("counter", count=10), duration=1)
    )
    assert job["state"] == "finished"


@pytest.mark.parametrize("nobody", [None], ids=["agent-is-root"], indirect=True)
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
