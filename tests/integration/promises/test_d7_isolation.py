"""D7: a load test cannot access the agent's files and process."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import pytest_twisted
from peers import no_landlock
from peers.agent import Agent
from peers.certificate import self_signed
from peers.collector import Collector
from peers.ports import free_port
from peers.programs import Builder
from peers.unprivileged import NotSupported, Unprivileged, run_as_nobody
from twisted.internet import reactor

from goloagent.sandbox import cgroup

TOKEN = "d7-token"
ATTACKER = Path(__file__).parents[2] / "loadtests" / "attacker.py"
HARMLESS = 'import sys\nprint("secret of another", file=sys.stderr)\n'
# A Python that the user `nobody` can execute.
PYTHON = shutil.which("python3", path="/usr/bin:/usr/local/bin") or sys.executable


@pytest.fixture
def unprivileged(request: pytest.FixtureRequest) -> Iterator[Unprivileged | None]:
    """Return the user of the agent, with the isolation backend of the parameter; None for root."""
    with ExitStack() as stack:
        if request.param is None:
            yield None
            return
        try:
            user = stack.enter_context(run_as_nobody(request.param))
        except NotSupported as error:
            pytest.skip(f"D7: not tried with the agent's own user: {error}")
        yield user


@pytest.fixture
def mirror() -> Iterator[Path]:
    """Create a directory at which the agent's files are mounted a second time."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest_twisted.async_yield_fixture
async def agent(
    unprivileged: Unprivileged | None, mirror: Path, collector: Collector
) -> AsyncIterator[Agent]:
    """Start an agent with a token and a TLS key; its load tests run as `nobody`."""
    if os.geteuid() != 0:
        pytest.skip("D7: only root can become another user")
    # pytest's directory is closed to other users.
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
        agent.prefix = ("unshare", "--mount", "/bin/sh", "-c", mount, "sh")
        if unprivileged is not None:
            for path in (directory, *directory.rglob("*")):
                shutil.chown(path, "nobody")
            agent.prefix += unprivileged.prefix
            agent.options["--containment"] = unprivileged.isolation
        await agent.start()
        yield agent
        await agent.finish()


def paths_of(agent: Agent, other: str, mirror: Path) -> dict[str, list[str]]:
    """Return the agent's private files and directories; `other` is an earlier job."""
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
    """Return the agent's cgroup, if it has one."""
    proc = Path(f"/proc/{agent.pid}")
    found = cgroup.find_cgroup((proc / "cgroup").read_text(), (proc / "mountinfo").read_text())
    return None if found is None else str(found)


@pytest.mark.parametrize(
    "unprivileged",
    [None, "pid-namespace", "cgroup", "process-group"],
    ids=lambda isolation: isolation or "agent-is-root",
    indirect=True,
)
async def test_d7_accesses_nothing(
    agent: Agent, unprivileged: Unprivileged | None, mirror: Path, tmp_path: Path
) -> None:
    """No attempt at token, database, other jobs, or the agent's memory and process succeeds."""
    protections = (await agent.request("GET", "/health")).json["protections"]
    if unprivileged is not None and protections["files"] != "landlock":
        [why] = [line for line in agent.log.splitlines() if "by their owner only" in line]
        pytest.skip(f"D7: not tried with the agent's own user: {why}")

    async def stderr_of(name: str, text: str) -> tuple[str, str]:
        program = tmp_path / name
        program.write_text(f"#!{PYTHON}\n{text}")
        job = await agent.ended(await agent.queue(name, program, duration=1))
        assert job["reason"] not in {"exec-failed", "spawn-failed"}, job
        return job["id"], agent.run_log(job["id"], name, "err.log").read_text()

    other, stderr = await stderr_of("other", HARMLESS)
    assert "secret of another" in stderr
    beside = str(Path(agent.options["--token-file"]).with_name("beside"))
    given = {"agent": agent.pid, "port": agent.port, "beside": beside}
    given |= paths_of(agent, other, mirror) | {"cgroup": cgroup_of(agent)}
    # Load tests in Python may read it.
    given["readable"] = ["/state/sdk.zip"]
    _, stderr = await stderr_of("attacker", f"{ATTACKER.read_text()}\nmain({given!r})\n")
    report = json.loads(stderr)
    owner = "root" if unprivileged is None else f"the same user, {unprivileged.isolation}"
    print(
        f"D7: {report['tried']} attempts at an agent of {owner}, "
        f"{len(report['reached'])} open, files protected by {protections['files']}"
    )
    assert report["reached"] == []
    assert given["cgroup"] is None or report["controllers"] is not None
    assert (report["beside"], report["own"]) == ("not secret", ["loadtest", "own"])
    assert report["descriptors"] == ["0", "1", "2"]
    assert TOKEN not in str(report["environment"])
    allowed = {"PATH", "HOME", "LANG", "TMPDIR", "GOLO_RPC_ADDR", "GOLO_JOB"}
    allowed |= {"GOLO_JOB_NAME", "GOLO_RUN_ID", "GOLO_AGENT_INDEX", "GOLO_AGENT_COUNT"}
    allowed |= {"GOLO_USERS", "GOLO_DURATION"}
    allowed |= {"PYTHONPATH", "PYTHONUNBUFFERED"}
    assert {*report["environment"]} <= allowed


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM])
async def test_d7_without_landlock(idle_agent: Agent, go_loadtest: Builder, number: int) -> None:
    """Without Landlock jobs run, and /health and the log report its absence."""
    idle_agent.prefix = no_landlock.command(number)
    await idle_agent.start()
    assert (await idle_agent.request("GET", "/health")).json["protections"]["files"] == "owner"
    why = f"by their owner only: protect the agent's files: {os.strerror(number)}"
    assert why in idle_agent.log
    job = await idle_agent.settled(
        await idle_agent.queue("shop", go_loadtest("counter", count=10), duration=1)
    )
    assert job["state"] == "finished"


@pytest.mark.parametrize("unprivileged", [None], ids=["agent-is-root"], indirect=True)
async def test_d7_the_token_is_not_disclosed(agent: Agent, go_loadtest: Builder) -> None:
    """It is not in the agent's arguments, environment, log, responses or files."""
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
