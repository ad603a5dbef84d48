"""Files, and a command, get each result of a real agent once, through kills and faults."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import duckdb
import pytest
from peers.agent import Agent
from peers.collector import Collector
from peers.notes import Notes
from peers.sinks import Sinks
from peers.waiting import until
from twisted.internet import reactor, task
from twisted.internet.defer import CancelledError, ensureDeferred

from goloagent.outputs.batch import Batch
from goloagent.outputs.labels import RunLabels
from goloagent.outputs.sink import Disposition

# Ends after some lines, as a program with defects does, and has not counted the last one then.
COMMAND = """\
import sys
with open(sys.argv[1], "a") as file:
    for number, line in enumerate(sys.stdin, 1):
        file.write(line)
        file.flush()
        if number == 700:
            sys.exit("enough")
        print(number, flush=True)
"""


def printed(agent: Agent, job_id: str, name: str) -> list[dict[str, Any]]:
    """Return the results in the log of a run."""
    path = agent.logs / name / job_id / "out.log"
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("scheme", ["jsonl", "csv", "parquet"])
async def test_a_file_through_kills(
    idle_agent: Agent, collector: Collector, numbered: Notes, tmp_path: Path, scheme: str
) -> None:
    """It equals out.log after kills at random moments, and the collector has all too."""
    agent, seed = idle_agent, random.randrange(10**6)
    moments = random.Random(seed)
    path = tmp_path / ("files" if scheme == "parquet" else f"results.{scheme}")
    agent.more = ("--output", f"file={scheme}:{path}")
    await agent.start()
    binary = await agent.upload(numbered.script(count=-1, rate=5_000))
    for _ in range(2):
        await agent.queue("killed", binary, duration=600)
        await task.deferLater(reactor, moments.uniform(0.5, 2))
        await agent.kill()
        await agent.start()
    for job_id in agent.jobs:
        await agent.complete(job_id, "file")
        await agent.settled(job_id)
    assert await agent.stop() == 0
    found: dict[str, list[tuple[int, str]]] = {job_id: [] for job_id in agent.jobs}
    for job, ordinal, sequence_id in read(scheme, path):
        found[job].append((ordinal, sequence_id))
    for job_id in agent.jobs:
        expected = [str(one["sequenceID"]) for one in printed(agent, job_id, "killed")]
        assert sorted(found[job_id]) == [*enumerate(expected)], f"seed {seed}"
        print(f"{scheme}: {len(expected)} results, each once (seed {seed})")


@pytest.mark.parametrize("scheme", ["jsonl", "csv", "parquet"])
async def test_a_full_disk(
    idle_agent: Agent, numbered: Notes, tmpfs: Callable[[str], Path], scheme: str
) -> None:
    """It is said in the job, and no record is torn or missing when there is space again."""
    agent, disk = idle_agent, tmpfs("size=1m")
    path = disk / ("files" if scheme == "parquet" else f"results.{scheme}")
    agent.more = ("--output", f"file={scheme}:{path}")
    await agent.start()
    with suppress(OSError), (disk / "fill").open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    job_id = await agent.queue("full", numbered.script(count=1000), duration=0)
    while not (job := await agent.job(job_id))["outputs"]["file"]["last_error"]:
        await task.deferLater(reactor, 0.05)
    assert job["outputs"]["file"]["last_error"].endswith("No space left on device")
    (disk / "fill").unlink()
    await agent.complete(job_id, "file")
    assert await agent.stop() == 0
    assert sorted(one[1] for one in read(scheme, path)) == list(range(1000))


def read(scheme: str, path: Path) -> list[tuple[str, int, str]]:
    """Return the job, the ordinal and the id of each result."""
    if scheme == "parquet":
        query = f"SELECT job, ordinal, sequence_id FROM '{path}/*.parquet'"
        return duckdb.sql(query).fetchall()
    if scheme == "csv":
        with path.open(newline="") as file:
            return [
                (row["job"], int(row["ordinal"]), row["sequence_id"])
                for row in csv.DictReader(file)
            ]
    objects = [json.loads(line) for line in path.read_text().splitlines()]
    return [(one["job"], one["ordinal"], str(one["result"]["sequenceID"])) for one in objects]


async def test_a_command(idle_agent: Agent, numbered: Notes, tmp_path: Path) -> None:
    """One that ends is started again, and gets what it has not taken."""
    agent, path, script = idle_agent, tmp_path / "taken", tmp_path / "take.py"
    script.write_text(COMMAND)
    agent.more = ("--output", f"mine=exec:python3 {script} {path}")
    await agent.start()
    job_id = await agent.queue("lines", numbered.script(count=2500), duration=0)
    await agent.complete(job_id, "mine")
    await agent.settled(job_id)
    ordinals = [json.loads(line)["ordinal"] for line in path.read_text().splitlines()]
    # A line that it wrote and had not counted when it ended comes again.
    assert sorted(set(ordinals)) == list(range(2500))
    assert 2500 < len(ordinals) <= 2500 + 4
    assert "stderr: enough" in agent.log


async def test_a_command_that_ignores_the_stop(tmp_path: Path) -> None:
    """It is ended with the agent, also if the stop has no time left for it."""
    path, sinks = tmp_path / "pid", Sinks()
    sink = sinks.make(f"mine=exec:read line; echo 1; trap '' TERM; echo $$ > {path}; sleep 600")
    result = b'{"timestamp":"2026-01-02T03:04:05Z"}\n'
    response = await sink.send(RunLabels("j", "n", "j", "a"), Batch(0, len(result), result), 0)
    assert response.disposition is Disposition.DELIVERED
    await until(lambda: path.exists() and path.read_text().endswith("\n"))
    process = Path("/proc", path.read_text().strip())
    assert process.exists()
    closing = ensureDeferred(sinks.close())
    closing.addErrback(lambda failure: failure.trap(CancelledError))
    closing.cancel()
    await until(lambda: not process.exists())


async def test_a_command_that_takes_nothing(
    idle_agent: Agent, collector: Collector, numbered: Notes
) -> None:
    """It is said in the job, and delays no other output; its results can be given up."""
    agent = idle_agent
    agent.more = ("--output", "mine=exec:sleep 600?timeout=1s&required=no")
    await agent.start()
    job_id = await agent.queue("lines", numbered.script(count=100), duration=0)
    job = await agent.settled(job_id)
    assert (job["results"]["delivered"], job["outputs"]["mine"]["pending"]) == (100, 100)
    while not (job := await agent.job(job_id))["outputs"]["mine"]["last_error"]:
        await task.deferLater(reactor, 0.05)
    assert job["outputs"]["mine"]["last_error"] == "the command took no result within 1 s"
    answer = await agent.request("DELETE", f"/jobs/{job_id}/results?output=mine")
    assert answer.status == 200, answer
    assert (await agent.complete(job_id, "mine"))["outputs"]["mine"]["abandoned"] == 100
    assert await agent.stop() == 0
