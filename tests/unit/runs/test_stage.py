"""What a run needs before it starts: made whole, or refused with a reason and nothing left."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred, ensureDeferred, fail, maybeDeferred, succeed
from twisted.internet.error import DNSLookupError
from twisted.python.failure import Failure
from unit.runs.one_run import NOW

from goloagent.jobs.binaries import Binaries
from goloagent.jobs.job import Job
from goloagent.jobs.spec import JobSpec
from goloagent.jobs.store import Binary, Store
from goloagent.runs.stage import Refused, Stage, Staged

PROGRAM = b"#!/bin/sh\n"


class Rooms:
    """A stage on directories of its own."""

    def __init__(self, root: Path) -> None:
        self.work, self.logs = root / "work", root / "logs"
        self.work.mkdir()
        self.logs.mkdir()
        self.store = Store(root / "agent.sqlite")
        self.binaries = Binaries(root, self.store, lambda: NOW)
        self.binaries.open()
        self.rpc: Deferred[bool] = succeed(True)
        self.in_thread: Callable[..., Deferred[Any]] = maybeDeferred
        incoming = self.binaries.receive()
        incoming.write(PROGRAM)
        self.binary: Binary = incoming.keep()
        self.job = Job("job-1", JobSpec("name", 1, 1, self.binary.id), NOW)

    def prepare(self) -> Deferred[Staged]:
        """Prepare the job."""

        async def rpc_is_free() -> bool:
            return await self.rpc

        return ensureDeferred(
            Stage(
                self.work,
                self.logs,
                self.binaries,
                None,
                "127.0.0.1:9999",
                rpc_is_free,
                self.in_thread,
            ).prepare(self.job)
        )

    def refusal(self) -> str:
        """Prepare the job, which is refused without leaving anything; return the reason."""
        failures: list[Failure] = []
        self.prepare().addErrback(failures.append)
        (failure,) = failures
        failure.trap(Refused)
        assert list(self.work.iterdir()) == []
        cause = failure.value.cause
        assert cause.sentence.endswith(".")
        return str(cause.reason)


@pytest.fixture
def rooms(tmp_path: Path) -> Iterator[Rooms]:
    """The stage of the test."""
    rooms = Rooms(tmp_path)
    yield rooms
    rooms.store.close()


def test_staged(rooms: Rooms) -> None:
    """A run gets the uploaded bytes, a directory nobody else enters, and an empty log."""
    told: list[Staged] = []
    rooms.prepare().addCallback(told.append)
    (staged,) = told
    assert staged.program.read_bytes() == PROGRAM
    assert os.access(staged.program, os.X_OK)
    assert staged.program.parent == staged.directory == rooms.work / "job-1"
    assert staged.directory.stat().st_mode & 0o777 == 0o700
    assert staged.log.size == 0
    assert (rooms.logs / "name" / "job-1" / "out.log").read_bytes() == b""
    (staged.directory / "left").mkdir()
    (staged.directory / "left" / "behind").write_bytes(b"x")
    staged.clear()
    staged.log.close()
    assert list(rooms.work.iterdir()) == []
    assert (rooms.binaries.kept / rooms.binary.id).read_bytes() == PROGRAM


def test_the_port_is_taken(rooms: Rooms) -> None:
    """A stranger on the RPC address refuses the job before anything is made."""
    rooms.rpc = succeed(False)
    assert rooms.refusal() == "rpc-port-busy"
    assert list(rooms.logs.iterdir()) == []


def test_the_address_cannot_be_asked(rooms: Rooms) -> None:
    """An RPC host that cannot be resolved refuses the job, and is no bug of ours."""
    rooms.rpc = fail(DNSLookupError("no such host"))
    assert rooms.refusal() == "prepare-failed"


def test_an_unknown_binary(rooms: Rooms) -> None:
    """A binary that was deleted since the job was queued is told as changed."""
    rooms.job.spec = JobSpec("name", 1, 1, "deleted")
    assert rooms.refusal() == "binary-changed"


@pytest.mark.parametrize("content", [None, b"#!/bin/other\n"], ids=["gone", "other"])
def test_other_bytes(rooms: Rooms, content: bytes | None) -> None:
    """Bytes that are not those that were uploaded are not run."""
    kept = rooms.binaries.kept / rooms.binary.id
    kept.unlink()
    if content is not None:
        kept.write_bytes(content)
        assert hashlib.sha256(content).hexdigest() != rooms.binary.sha256
    assert rooms.refusal() == "binary-changed"


def test_a_link_where_a_log_belongs(rooms: Rooms, tmp_path: Path) -> None:
    """A planted link refuses the job, and nothing is written where it points."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (rooms.logs / "name").symlink_to(outside)
    assert rooms.refusal() == "log-path"
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.ENOSPC, "disk-full"),
        (errno.EDQUOT, "disk-full"),
        (errno.EACCES, "prepare-failed"),
    ],
)
def test_the_disk_fails(rooms: Rooms, number: int, reason: str) -> None:
    """A full disk has a reason of its own, and any other failure one with the system's words."""
    rooms.in_thread = lambda *_: fail(OSError(number, os.strerror(number)))
    assert rooms.refusal() == reason


def test_cancelled(rooms: Rooms) -> None:
    """A cancel while the bytes are checked leaves no directory."""
    rooms.in_thread = lambda *_: Deferred()
    failures: list[Failure] = []
    preparing = rooms.prepare().addErrback(failures.append)
    assert [path.name for path in rooms.work.iterdir()] == ["job-1"]
    preparing.cancel()
    assert len(failures) == 1
    assert list(rooms.work.iterdir()) == []


def test_work_is_gone(rooms: Rooms) -> None:
    """Somebody's removal of the work directory costs the job and nothing more."""
    shutil.rmtree(rooms.work)
    failures: list[Failure] = []
    rooms.prepare().addErrback(failures.append)
    assert failures[0].check(Refused)
    assert failures[0].value.cause.reason == "prepare-failed"
