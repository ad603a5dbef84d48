"""Each content is stored once, and no binary that a job needs is removed."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from peers.agent import Agent
from peers.programs import Builder
from peers.waiting import until
from twisted.internet.error import ConnectionLost
from twisted.web.client import RequestTransmissionFailed, ResponseFailed, ResponseNeverReceived

GONE = (ConnectionLost, RequestTransmissionFailed, ResponseFailed, ResponseNeverReceived)
WAITING = "#!/bin/sh\nexec sleep 600\n"


def program(directory: Path, number: int, size: int = 100_000) -> Path:
    """Write a unique script of `size` bytes that never listens."""
    path = directory / f"program-{number}"
    path.write_text(f"{WAITING}# {number} ".ljust(size, "#"))
    return path


def stored_contents(agent: Agent) -> dict[str, int]:
    """Return the names of the binaries' files, and their inodes."""
    return {path.name: path.stat().st_ino for path in (agent.state / "binaries").iterdir()}


async def after_eviction(agent: Agent) -> dict[str, int]:
    """Return the stored binaries once the links of evicted ones are removed."""
    links = agent.state / "binaries"
    await until(lambda: all(path.exists() for path in links.iterdir()))
    return stored_contents(agent)


async def listed(agent: Agent) -> list[str]:
    """Return the IDs of the binaries, the newest first."""
    return [one["id"] for one in (await agent.request("GET", "/binaries")).json["binaries"]]


@pytest.mark.parametrize("point", ["upload-before-link", "upload-after-link", "upload-after-row"])
async def test_a_kill_while_the_content_is_uploaded_again(
    idle_agent: Agent, go_loadtest: Builder, point: str
) -> None:
    """An upload is stored, can run, and shares its file with the next one of its content."""
    agent, loadtest = idle_agent, go_loadtest("counter", count=10)
    await agent.start(crash_at=f"{point}:2")
    first = await agent.upload(loadtest)
    with pytest.raises(GONE):
        await agent.upload(loadtest)
    assert await agent.crashed() == -9
    await agent.start()
    known = await listed(agent)
    assert first in known
    assert len(known) == (1 if point == "upload-before-link" else 2)
    assert {*stored_contents(agent)} == {*known}
    third = await agent.upload(loadtest)
    files = stored_contents(agent)
    assert len({files[binary] for binary in [*known, third]}) == 1
    assert list((agent.state / "incoming").iterdir()) == []
    for binary in (*known, third):
        job = await agent.settled(await agent.queue("counter", binary, duration=1))
        assert (job["state"], job["results"]["delivered"]) == ("finished", 10), job


async def test_an_upload_can_be_skipped(agent: Agent, go_loadtest: Builder) -> None:
    """A client that requests a binary by content gets its ID, or 404 before the first upload."""
    loadtest = go_loadtest("counter", count=10)
    path = f"/binaries/{hashlib.sha256(loadtest.read_bytes()).hexdigest()}"
    assert (await agent.request("HEAD", path)).status == 404
    binary = await agent.upload(loadtest)
    answer = await agent.request("HEAD", path)
    assert (answer.status, answer.text) == (200, "")
    assert answer.headers["content-location"] == f"/binaries/{binary}"
    found = (await agent.request("GET", path)).json
    job = await agent.settled(await agent.queue("counter", found["id"], duration=1))
    assert (job["state"], job["binary"]) == ("finished", binary)


async def test_the_quota(idle_agent: Agent, tmp_path: Path) -> None:
    """The oldest binaries are evicted, except those of jobs; the history outlives its binaries."""
    agent = idle_agent
    agent.options["--max-binaries"] = "300000"
    await agent.start()
    needed = await agent.upload(program(tmp_path, 0))
    running = await agent.queue("shop", needed, duration=1)
    await agent.reached(running, "starting")
    assert (await agent.request("DELETE", f"/binaries/{needed}")).status == 409
    uploads = [await agent.upload(program(tmp_path, number)) for number in range(1, 5)]
    assert await listed(agent) == [uploads[3], uploads[2], needed]
    for binary in uploads[2:]:
        await agent.queue("shop", binary, duration=1)
    with program(tmp_path, 5).open("rb") as file:
        refused = await agent.request("POST", "/upload", files={"file": ("x", "a/b", file)})
    print(f"the quota: {refused.status} {refused.text.strip()}")
    assert refused.status == 507
    assert "--max-binaries" in refused.text
    assert {*await after_eviction(agent)} == {needed, *uploads[2:]}
    # Another upload of the content needs no space and has its own ID.
    assert await agent.upload(program(tmp_path, 0)) != needed
    for job_id in reversed(agent.jobs):
        await agent.request("DELETE", f"/jobs/{job_id}")
        await agent.ended(job_id)
    last = await agent.upload(program(tmp_path, 6))
    assert last in await listed(agent)
    assert len({*(await after_eviction(agent)).values()}) == 3
    for binary in await listed(agent):
        answer = await agent.request("DELETE", f"/binaries/{binary}")
        assert (answer.status, answer.json["in_use"]) == (200, False)
    assert await after_eviction(agent) == {}
    assert (await agent.job(running))["binary"] == needed
