"""The input of a load test reaches it, and its secrets reach no log and no response."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from peers.agent import Agent
from peers.collector import Collector
from peers.programs import ACCEPT, ANSWER_CALLS, Builder
from twisted.internet import reactor

# Prints its input to stderr, whose end is in the job resource.
SHOW = """
import hashlib, json
print(json.dumps([
    sys.argv[1:],
    {name: os.environ.get(name) for name in os.environ if name.startswith("GOLO_")},
    hashlib.sha256(os.environ.get("TOKEN", "").encode()).hexdigest(),
    {name: [open(name).read(), os.stat(name).st_mode & 0o777, os.stat(name).st_uid == os.getuid()]
     for name in sorted(os.listdir(".")) if name.endswith(".csv")},
]), file=sys.stderr, flush=True)
"""
SECRET = "s3cret-7d41"


def files_below(*directories: Path) -> dict[Path, bytes]:
    """Return the content of every regular file."""
    found = {}
    for path in (path for directory in directories for path in directory.rglob("*")):
        if path.is_file() and not path.is_symlink():
            with suppress(FileNotFoundError):  # removed since
                found[path] = path.read_bytes()
    return found


async def test_the_input_of_a_load_test(agent: Agent, script: Builder, tmp_path: Path) -> None:
    """Arguments, variables, files and the agent's own variables; a secret stays one."""
    users = tmp_path / "users.csv"
    users.write_text("id,name\n1,a\n2,b\n3,c\n4,d\n")
    program = script(SHOW + ACCEPT + ANSWER_CALLS)
    binary = await agent.upload(users, kind="file")
    members: dict[str, Any] = {
        "args": ["--cart", "3 ☃"],
        "env": {"TOKEN": SECRET, "TARGET": "https://staging"},
        "files": [
            {"name": "users.csv", "binary": binary, "split": "lines", "header": True},
            {"name": "all.csv", "binary": binary},
        ],
        "share": {"index": 1, "of": 3},
        "run": {"id": "run-1"},
        "tags": {"release": "1.4.2"},
    }
    job_id = await agent.queue("input", program, duration="500ms", users=7, **members)
    job = await agent.settled(job_id)
    assert job["state"] == "finished", job
    shown = json.loads(job["stderr_tail"])
    args, variables, token, files = shown
    assert args == ["--cart", "3 ☃"]
    assert variables.pop("GOLO_JOB").endswith(job_id)
    assert variables == {
        "GOLO_RPC_ADDR": f"127.0.0.1:{agent.rpc_port}",
        "GOLO_AGENT_INDEX": "1",
        "GOLO_AGENT_COUNT": "3",
        "GOLO_JOB_NAME": "input",
        "GOLO_RUN_ID": "run-1",
        "GOLO_USERS": "2",
        "GOLO_DURATION": "0.5",
    }
    assert token == hashlib.sha256(SECRET.encode()).hexdigest()
    assert files == {
        "all.csv": [users.read_text(), 0o600, True],
        "users.csv": ["id,name\n2,b\n", 0o600, True],
    }
    assert job["env"] == ["TOKEN", "TARGET"]
    assert SECRET not in str(job) + agent.log
    await agent.stop()  # which ends the write-ahead log of the database
    found = files_below(agent.state, agent.logs)
    assert [path for path, content in found.items() if SECRET.encode() in content] == []


async def test_a_secret_is_in_files_of_the_agent_only(agent: Agent, script: Builder) -> None:
    """Until the job is over, in the database and the queue file, which only the agent may read."""
    program = await agent.upload(script(ACCEPT + ANSWER_CALLS))
    running = await agent.queue("input", program, duration=60, env={"TOKEN": SECRET})
    queued = await agent.queue("input", program, duration=60, env={"TOKEN": SECRET})
    await agent.reached(running, "running")
    holding = [
        path
        for path, content in files_below(agent.state, agent.logs).items()
        if SECRET.encode() in content
    ]
    assert {path.name.partition(".sqlite")[0] for path in holding} == {
        "golo-agent",
        f"{queued}.json",
    }
    assert {stat.S_IMODE(path.stat().st_mode) for path in holding} == {0o600}
    for job_id in (queued, running):
        await agent.request("DELETE", f"/jobs/{job_id}")
        await agent.settled(job_id)


async def test_a_file_of_a_queued_job_is_not_removed(
    agent: Agent, script: Builder, tmp_path: Path
) -> None:
    """Its upload is in use until the job is over."""
    data = tmp_path / "users.csv"
    data.write_text("1\n")
    file = await agent.upload(data, kind="file")
    program = await agent.upload(script(ACCEPT + ANSWER_CALLS))
    job_id = await agent.queue(
        "input", program, duration=60, files=[{"name": "users.csv", "binary": file}]
    )
    assert (await agent.request("DELETE", f"/binaries/{file}")).status == 409
    await agent.request("DELETE", f"/jobs/{job_id}")
    await agent.settled(job_id)
    assert (await agent.request("DELETE", f"/binaries/{file}")).status == 200
    answer = await agent.request(
        "POST",
        "/queue",
        data=f'{{"binary":"{program}","files":[{{"name":"a","binary":"{file}"}}]}}'.encode(),
    )
    assert (answer.status, answer.text.strip()) == (
        400,
        f'files: there is no binary "{file}" for a: upload it first',
    )


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """Create a directory that every user may enter, unlike pytest's."""
    if os.geteuid() != 0:
        pytest.skip("only root can run load tests as another user")
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


async def test_files_belong_to_the_user_of_load_tests(
    collector: Collector, open_directory: Path
) -> None:
    """Another user than the agent's reads them, with Landlock, and no third one could."""
    agent = Agent(reactor, open_directory, collector)
    agent.options["--run-as"] = "nobody"
    await agent.start()
    data = open_directory / "users.csv"
    data.write_text("1\n2\n")
    file = await agent.upload(data, kind="file")
    program = open_directory / "loadtest"
    program.write_text('#!/bin/sh\ncat users.csv "$1" >&2\nstat -c "%U %a" . users.csv >&2\n')
    job_id = await agent.queue(
        "input",
        program,
        duration=60,
        drive="self",
        args=["second.csv"],
        files=[{"name": name, "binary": file} for name in ("users.csv", "second.csv")],
    )
    job = await agent.settled(job_id)
    assert job["state"] == "finished", job
    assert job["stderr_tail"].splitlines() == ["1", "2"] * 2 + ["nobody 700", "nobody 600"]
    await agent.finish()
