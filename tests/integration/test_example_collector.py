"""The example collector stores each result of a real agent once."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.request import urlopen

import pytest_twisted
from peers.agent import Agent
from peers.collector import Collector
from peers.ports import free_port
from peers.programs import Builder
from peers.readme import ROOT
from twisted.internet import reactor
from twisted.internet.threads import deferToThread

COUNT = 3000


class Running:
    """The example collector on one port with one directory, across restarts."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self.directory = directory
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it listens."""
        script = ROOT / "examples" / "collector.py"
        self.process = subprocess.Popen(
            [sys.executable, script, str(self.port), "--directory", self.directory],
            stdout=subprocess.PIPE,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline().decode() == f"{self.url}\n"

    def end(self, number: signal.Signals) -> int:
        """Stop it by a signal and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(30)


@pytest_twisted.async_yield_fixture
async def example(tmp_path: Path) -> AsyncIterator[Running]:
    """Start an example collector."""
    running = Running(tmp_path / "results")
    running.start()
    yield running
    running.process.kill()
    running.process.wait()


@pytest_twisted.async_yield_fixture
async def agent(example: Running, collector: Collector, tmp_path: Path) -> AsyncIterator[Agent]:
    """Return an agent that delivers to the example collector."""
    agent = Agent(reactor, tmp_path, collector)
    agent.options["--collector"] = example.url
    await agent.start()
    yield agent
    print(agent.log)
    assert await agent.stop() == 0
    await agent.close()


async def test_results_are_stored_once_through_a_crash(
    agent: Agent, example: Running, go_loadtest: Builder
) -> None:
    """After a kill during a run and a restart every result is one line of its file."""
    job_id = await agent.queue("kept", go_loadtest("counter", count=COUNT), duration=3)
    await agent.reached(job_id, "running")
    example.end(signal.SIGKILL)
    example.start()
    job = await agent.settled(job_id)
    assert job["state"] == "finished", job
    assert job["results"]["delivered"] == COUNT, job
    lines = (example.directory / "kept.jsonl").read_bytes().splitlines()
    printed = agent.run_log(job_id, "kept").read_bytes().splitlines()
    assert lines == printed
    summary = await deferToThread(lambda: urlopen(f"{example.url}/summary/kept").read())
    assert f'"results": {COUNT}'.encode() in summary
    assert example.end(signal.SIGTERM) == 0
