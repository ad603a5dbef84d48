"""A change answered 200 or 201 survives a power cut at any moment.

The API, the store with SQLite, the binaries and the syncer are the real ones on real files. The
power is cut after every sync and after every answer, and another agent starts on what is left.
"""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import LoggedErrors
from unit.http import golo_cli
from unit.http.in_memory import NOW, Agent, Response
from unit.wal.shadow import ShadowDisk

from goloagent.artifacts.store import ArtifactStore
from goloagent.jobs.database import Store
from goloagent.jobs.job import State

STEPS = 40
CONTENTS = [b"#!/bin/sh\n# %d\n" % number for number in range(4)]


def start(directory: Path) -> Agent:
    """Start an agent on a directory."""
    store = Store(directory / "agent.sqlite")
    binaries = ArtifactStore(directory, store, lambda: NOW)
    binaries.open()
    return Agent(directory, store, binaries)


class World:
    """An agent on a disk that loses unsynced data, and its responses."""

    def __init__(self, root: Path) -> None:
        self.state = root / "state"
        self.state.mkdir()
        self.left = root / "left"
        self.disk = ShadowDisk(self.state)
        self.binaries: dict[str, bytes] = {}
        self.jobs: dict[str, str] = {}
        self.gone: set[str] = set()
        self.asked_to_go: set[str] = set()
        self.asked_to_cancel: set[str] = set()
        self.cuts = 0

    def ask(self, data: bytes) -> Response:
        """Send a request, and cut the power after the response."""
        return self.agent.request(data)

    def upload(self, content: bytes) -> None:
        answer = self.ask(golo_cli.upload(content))
        assert answer.status == 200, answer
        self.binaries[json.loads(answer.body)["binary"]] = content
        self.check()

    def queue(self, binary: str) -> None:
        body = json.dumps({"name": "shop", "users": 1, "duration": 1, "binary": binary}).encode()
        answer = self.ask(
            b"POST /queue HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s"
            % (len(body), body)
        )
        if answer.status == 201:
            self.jobs[json.loads(answer.body)["id"]] = "queued"
        self.check()

    def cancel(self, job_id: str) -> None:
        self.asked_to_cancel.add(job_id)
        answer = self.ask(f"DELETE /jobs/{job_id} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        assert answer.status == 200
        self.jobs[job_id] = "cancelled"
        self.check()

    def remove(self, binary: str) -> None:
        self.asked_to_go.add(binary)
        path = f"/binaries/{binary}"
        answer = self.ask(f"DELETE {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        if answer.status == 200:
            self.gone.add(binary)
        self.check()

    def check(self) -> None:
        """Cut the power, and compare a new agent with the responses."""
        self.cuts += 1
        self.disk.cut_power(self.left)
        synced, self.disk.synced = self.disk.synced, lambda: None
        agent = start(self.left)
        try:
            for binary_id, content in self.binaries.items():
                binary = agent.store.binary(binary_id)
                if binary_id in self.gone:
                    assert binary is None
                    assert not (agent.artifacts.ids / binary_id).exists()
                elif binary_id not in self.asked_to_go:
                    assert binary is not None, "an upload that was answered 200 is lost"
                if binary is not None:
                    target = self.left / "staged"
                    agent.artifacts.copy_verified(binary, target)
                    assert target.read_bytes() == content
                    target.unlink()
            for job_id, state in self.jobs.items():
                job = agent.store.get(job_id)
                assert job is not None, "a job that was answered 201 is lost"
                if state == "cancelled" or job_id not in self.asked_to_cancel:
                    assert job.state.value == state
        finally:
            agent.store.close()
            shutil.rmtree(self.left)
            self.disk.synced = synced


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Start an agent on such a disk."""
    world = World(tmp_path)
    monkeypatch.setattr(os, "fsync", world.disk.fsync)
    world.agent = start(world.state)
    world.agent.cancelled = lambda job: world_cancel(world, job.id)
    yield world
    world.agent.store.close()


def world_cancel(world: World, job_id: str) -> bool:
    """Cancel a queued job, as the scheduler does."""
    job = world.agent.store.get(job_id)
    assert job is not None
    job.state = State.CANCELLED
    world.agent.jobs.change(job)
    return True


@pytest.mark.parametrize("seed", range(3))
def test_answered_changes_survive_a_power_cut(world: World, seed: int) -> None:
    """Uploads, jobs, cancels and removals in any order, with a cut at each sync."""
    chance = random.Random(seed)
    world.disk.synced = world.check
    world.check()
    for _ in range(STEPS):
        there = sorted(world.binaries.keys() - world.gone)
        waiting = sorted(job for job, state in world.jobs.items() if state == "queued")
        act = chance.choice(["upload", "upload", "queue", "queue", "remove", "cancel"])
        if act == "upload" or not there:
            world.upload(chance.choice(CONTENTS))
        elif act == "queue" and len(waiting) < 20:
            world.queue(chance.choice(there))
        elif act == "remove":
            world.remove(chance.choice(there))
        elif waiting:
            world.cancel(chance.choice(waiting))
    print(
        f"property 7: {len(world.binaries)} uploads, {len(world.jobs)} jobs, {len(world.gone)} "
        f"removals, {world.cuts} power cuts: lost 0"
    )
    assert world.cuts > STEPS


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
def test_a_failed_sync_is_no_success(
    world: World, monkeypatch: pytest.MonkeyPatch, logged_errors: LoggedErrors, number: int
) -> None:
    """An upload and a job get 503 or 507, a cancel 202, and the agent ends."""
    world.upload(CONTENTS[0])
    [binary] = world.binaries
    world.queue(binary)
    [job] = world.jobs

    def fail(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    body = json.dumps({"binary": binary}).encode()
    requests = [
        b"POST /queue HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s"
        % (len(body), body),
        golo_cli.upload(CONTENTS[1]),
        f"DELETE /jobs/{job} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode(),
    ]
    answers = [world.ask(request) for request in requests]
    assert [answer.status for answer in answers][1:] == [
        507 if number == errno.ENOSPC else 503,
        202,
    ]
    assert answers[0].status == 503
    assert len(world.agent.failures) == 1
    logged_errors.flush()
