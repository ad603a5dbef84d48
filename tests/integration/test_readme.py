"""Run the load tests of the README, with nothing else installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from peers.agent import Agent
from peers.collector import Collector
from peers.pythons import pythons
from peers.readme import SYSTEM_PATH, aimed_at, python_example
from peers.target import Target

from goloagent.sdk import archive

USERS, SECONDS = 10, 2


@pytest.fixture
def public_state() -> Iterator[Path]:
    """Create a state directory that every user can enter, like the default one."""
    directory = Path(tempfile.mkdtemp(dir="/tmp"))
    directory.chmod(0o711)
    yield directory / "state"
    shutil.rmtree(directory)


async def check_requests_are_results(
    agent: Agent, collector: Collector, target: Target, loadtest: Path
) -> None:
    """Run a load test; each request that the target served must be delivered without errors."""
    job_id = await agent.queue("readme", loadtest, duration=SECONDS, users=USERS)
    job = await agent.settled(job_id)
    assert (job["state"], job["message"]) == ("finished", None), job
    assert job["calls"]["failed"] == 0, job
    assert job["results"]["delivered"] == target.served > 0, job
    results = collector.results("readme")
    assert len(results) == target.served
    assert {(result["url"], result["status"], result["error"]) for result in results} == {
        (target.url, 200, None)
    }


@pytest.mark.parametrize("user", ["own", "nobody"])
async def test_python_runs_without_an_activated_environment(
    idle_agent: Agent,
    collector: Collector,
    target: Target,
    public_state: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    user: str,
) -> None:
    """The system's Python without golo-agent runs the example, also as another user."""
    if user == "nobody":
        if os.geteuid() != 0:
            pytest.skip("only root can run load tests as another user")
        idle_agent.options |= {"--run-as": "nobody", "--state": str(public_state)}
    monkeypatch.setenv("PATH", SYSTEM_PATH)
    assert shutil.which("python3", path=SYSTEM_PATH), "this system has no python3"
    loadtest = tmp_path / "loadtest.py"
    loadtest.write_text(aimed_at(target.url, python_example()))
    await idle_agent.start()
    await check_requests_are_results(idle_agent, collector, target, loadtest)


async def test_python_fails_calls_whose_requests_fail(
    agent: Agent, collector: Collector, tmp_path: Path
) -> None:
    """Without a target each call fails, and its result has the reason."""
    loadtest = tmp_path / "loadtest.py"
    loadtest.write_text(aimed_at("http://127.0.0.1:1/", python_example()))
    job = await agent.settled(await agent.queue("readme", loadtest, duration=1, users=2))
    assert job["calls"]["failed"] == job["calls"]["started"] > 0, job
    assert job["results"]["valid"] == job["calls"]["failed"], job
    assert all(
        result["status"] == 0 and "Connection refused" in str(result["error"])
        for result in collector.results("readme")
    )


@pytest.mark.parametrize("python", pythons())
def test_the_sdk_runs_on_every_python(python: str, tmp_path: Path) -> None:
    """The SDK can be imported from its zip file alone, and reports."""
    archive.install(tmp_path)
    script = (
        "from goloagent import sdk\nfrom goloagent.sdk import server\n"
        "sdk.report(method='GET', url='u', status=200, duration_seconds=1)\n"
        "assert sdk.split_address('[::1]:80') == ('::1', 80)\n"
        "assert 'zip' in sdk.__file__\n"
    )
    done = subprocess.run(
        [python, "-S", "-c", script],
        env={"PYTHONPATH": str(tmp_path / "sdk.zip")},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert '"url": "u"' in done.stdout
