"""R8: a full disk is survived. The disk is a tmpfs of 2 MiB, which needs root."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from peers.agent import Agent
from peers.notes import Notes
from peers.oracle import Comparing

SIZE = 2 * 2**20


@pytest.fixture
def cramped(tmpfs: Callable[[str], Path], idle_agent: Agent) -> Agent:
    """Return an agent, not started, with all files on the small disk."""
    disk = tmpfs(f"size={SIZE}")
    idle_agent.options |= {"--state": str(disk / "state"), "--logs": str(disk / "logs")}
    return idle_agent


def fill(path: Path) -> None:
    """Write to the file until the disk is full."""
    with path.open("ab", buffering=0) as file:
        while True:
            try:
                file.write(bytes(4096))
            except OSError:
                return


async def test_r8_filled_by_a_run(
    cramped: Agent, numbered: Notes, compare_results: Comparing
) -> None:
    """Written results are delivered; requests get 507 until there is space."""
    await cramped.start()
    script = numbered.script(count=-1)
    binary = await cramped.upload(script)
    job_id = await cramped.queue("filled", binary, duration=60)
    job = await cramped.settled(job_id)
    comparison = compare_results(job_id, "filled")
    log = cramped.run_log(job_id, "filled")
    print(
        f"R8: a run filled the disk with {log.stat().st_size} bytes: job {job['state']}: "
        f"{job['reason']}, delivered {job['results']['delivered']}, lost {len(comparison.lost)}, "
        f"never printed {len(comparison.never_printed)}"
    )
    assert (job["state"], job["reason"]) == ("failed", "disk-full"), job
    assert comparison.lost == comparison.never_printed == comparison.repeated == []

    fill(cramped.logs / "filler")
    await cramped.health("disk-full")
    files = {"file": ("x", "application/octet-stream", script.open("rb"))}
    upload = await cramped.request("POST", "/upload", files=files)
    wanted = json.dumps({"name": "late", "duration": 0, "binary": binary}).encode()
    queued = await cramped.request("POST", "/queue", data=wanted)
    assert (upload.status, queued.status) == (507, 507), (upload, queued)

    subprocess.run(
        ["mount", "-o", f"remount,size={4 * SIZE}", str(cramped.logs.parent)], check=True
    )
    await cramped.health()
    later = await cramped.settled(
        await cramped.queue("later", numbered.script(count=100), duration=0)
    )
    assert (later["state"], later["results"]["delivered"]) == ("finished", 100), later


async def test_r8_filled_by_an_upload(cramped: Agent, numbered: Notes, tmp_path: Path) -> None:
    """Uploads get 507 and leave no file; the next job runs."""
    await cramped.start()
    large = tmp_path / "large"
    large.write_bytes(b"#!/bin/sh\n" + bytes(SIZE))
    for _ in range(3):
        # treq closes the file, which it may still send after an early refusal.
        files = {"file": ("large", "application/octet-stream", large.open("rb"))}
        answer = await cramped.request("POST", "/upload", files=files)
        assert answer.status == 507, answer
    assert list((cramped.state / "incoming").iterdir()) == []
    job = await cramped.settled(
        await cramped.queue("after", numbered.script(count=100), duration=0)
    )
    print(f"R8: three uploads filled the disk: 507 each, then a job {job['state']}")
    assert (job["state"], job["results"]["delivered"]) == ("finished", 100), job


async def test_r8_filled_while_queueing(cramped: Agent, numbered: Notes) -> None:
    """A job that does not fit gets 507; accepted jobs run."""
    cramped.options["--min-free"] = "1"  # so that the write to the database fails
    await cramped.start()
    slow = await cramped.upload(numbered.script(count=0))
    await cramped.queue("running", slow, duration=2)
    fill(cramped.state / "filler")
    wanted = json.dumps({"name": "queued", "duration": 0, "binary": slow}).encode()
    statuses = []
    for _ in range(30):
        answer = await cramped.request("POST", "/queue", data=wanted)
        statuses.append(answer.status)
        if answer.status == 201:
            cramped.jobs.append(answer.json["id"])
    assert set(statuses) <= {201, 507}, statuses
    assert 507 in statuses
    (cramped.state / "filler").unlink()
    await cramped.health()
    for job_id in cramped.jobs:
        await cramped.settled(job_id)
    assert await cramped.stop() == 0
    await cramped.start()
    jobs = [await cramped.job(job_id) for job_id in cramped.jobs]
    print(
        f"R8: queueing on a full disk: {statuses.count(201)} kept, {statuses.count(507)} times 507"
    )
    assert {job["state"] for job in jobs} <= {"finished", "failed"}, jobs
