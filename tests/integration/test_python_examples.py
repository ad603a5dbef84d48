"""The examples in Python, packed by `golo pack`, in an agent whose Python has no package."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from peers.agent import Agent
from peers.collector import Collector
from peers.golo import left_over, start_golo
from peers.pythons import pythons, system_python
from peers.readme import ROOT, SYSTEM_PATH
from peers.target import Target
from twisted.internet import reactor

from goloagent.client.exit_codes import ExitCode
from goloagent.report import codec

# Each helper reports a refused connection.
REFUSED = """
# /// script
# dependencies = ["aiohttp", "httpx", "requests"]
# ///
import asyncio
from contextlib import suppress
from goloagent.sdk.aiohttp import ClientSession
from goloagent.sdk.httpx import AsyncClient, Client
from goloagent.sdk.requests import Session

URL = "http://127.0.0.1:1/"

async def main():
    with suppress(Exception):
        async with AsyncClient() as client:
            await client.get(URL)
    with suppress(Exception):
        async with ClientSession() as session:
            await session.get(URL)

for client in Session(), Client():
    with suppress(Exception):
        client.get(URL)
asyncio.run(main())
"""
EXAMPLES = ["http_requests", "http_httpx", "http_aiohttp"]
USERS, SECONDS = 10, 2


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pack the examples; their requirements are those in their metadata."""
    directory = tmp_path_factory.mktemp("packed")
    for name in EXAMPLES:
        script = str(ROOT / "examples" / f"{name}.py")
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "goloagent.client",
                "pack",
                script,
                "-o",
                directory / name,
                "--python",
                system_python(),
            ],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    return directory


@pytest.mark.parametrize("example", EXAMPLES)
async def test_served_is_delivered(
    idle_agent: Agent,
    collector: Collector,
    target: Target,
    packed: Path,
    monkeypatch: pytest.MonkeyPatch,
    example: str,
) -> None:
    """Each request that the target served is a delivered result, and nothing is left behind."""
    monkeypatch.setenv("PATH", SYSTEM_PATH)
    await idle_agent.start()
    job_id = await idle_agent.queue(
        example, packed / example, duration=SECONDS, users=USERS, env={"TARGET": target.url}
    )
    job = await idle_agent.settled(job_id)
    noted = idle_agent.run_log(job_id, example, "err.log").read_text()
    assert (job["state"], job["message"], noted) == ("finished", None, ""), job
    assert job["calls"]["failed"] == job["results"]["invalid"] == 0, job
    assert job["results"]["delivered"] == target.served > 0, job
    print(f"{example}: served {target.served}, delivered {job['results']['delivered']}")
    results = collector.results(example)
    assert {(one["method"], one["url"], one["status"], one["error"]) for one in results} == {
        ("GET", target.url, 200, None)
    }
    assert len({one["size"] for one in results}) == 1


@pytest.mark.parametrize("example", EXAMPLES)
async def test_without_a_target(
    idle_agent: Agent,
    collector: Collector,
    packed: Path,
    monkeypatch: pytest.MonkeyPatch,
    example: str,
) -> None:
    """Each failed request is one result with its reason, so that none is missing."""
    monkeypatch.setenv("PATH", SYSTEM_PATH)
    await idle_agent.start()
    job = await idle_agent.settled(
        await idle_agent.queue(
            example, packed / example, duration=1, users=2, env={"TARGET": "http://127.0.0.1:1/"}
        )
    )
    assert job["calls"]["failed"] == job["calls"]["started"] > 0, job
    assert job["results"]["delivered"] == job["calls"]["failed"], job
    for one in collector.results(example):
        assert (one["method"], one["url"], one["status"]) == ("GET", "http://127.0.0.1:1/", 0)
        assert "Connect" in str(one["error"])


async def test_golo_run_packs_by_itself(target: Target, tmp_path: Path) -> None:
    """A script with requirements needs no other command, and no agent."""
    example = str(ROOT / "examples" / "http_httpx.py")
    more = ["--env", f"TARGET={target.url}", "--json", "report.json"]
    golo = start_golo(reactor, tmp_path, "run", example, "--users", "3", "-d", "1", *more)
    assert await golo.exit_code() == ExitCode.OK, golo.out + golo.err
    report = codec.decode((tmp_path / "report.json").read_bytes())
    assert report.results.valid == report.calls.ok == target.served > 0
    assert left_over(tmp_path) == []


@pytest.mark.full
@pytest.mark.parametrize("python", pythons())
def test_every_python(python: str, tmp_path: Path) -> None:
    """Pip chooses packages for that version, and the helpers work with them."""
    (tmp_path / "refused.py").write_text(REFUSED)
    pack = [sys.executable, "-m", "goloagent.client", "pack", tmp_path / "refused.py"]
    done = subprocess.run(
        [*pack, "-p", python, "-o", tmp_path / "refused"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    ran = subprocess.run(
        [python, tmp_path / "refused"],
        env={"TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    results = [json.loads(line) for line in ran.stdout.splitlines()]
    assert [one["status"] for one in results] == [0] * 4
    assert all("Connect" in one["error"] for one in results)


async def test_a_script_for_another_python(
    idle_agent: Agent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job says what to do when the agent's Python is too old for a packed script."""
    script = tmp_path / "future.py"
    script.write_text("# /// script\n# requires-python = '>=3.99'\n# dependencies = []\n# ///\n")
    pack = [sys.executable, "-m", "goloagent.client", "pack", script, "-o", tmp_path / "future"]
    subprocess.run(pack, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True)
    monkeypatch.setenv("PATH", SYSTEM_PATH)
    await idle_agent.start()
    job = await idle_agent.settled(await idle_agent.queue("future", tmp_path / "future"))
    assert job["state"] == "failed", job
    assert "needs Python 3.99 or newer" in str(job["stderr_tail"]), job
