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
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred, maybeDeferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from unit.runs.one_run import NOW

from goloagent.artifacts.store import ArtifactStore
from goloagent.core.host_fault import HostFault
from goloagent.jobs.database import Binary, Store
from goloagent.jobs.job import Job
from goloagent.jobs.spec import JobSpec
from goloagent.runs.preparation import PreparationError, PreparedRun, RunPreparer
from goloagent.wal.run_directory import remove_run
from goloagent.wal.run_files import RunFiles
from goloagent.wal.run_log import RunLogWriter
from goloagent.wal.syncer import WalSyncer

PROGRAM = b"#!/bin/sh\n"


class Rooms:
    """A stage on directories of its own."""

    def __init__(self, root: Path) -> None:
        self.work, self.logs = root / "work", root / "logs"
        self.work.mkdir()
        self.logs.mkdir()
        self.store = Store(root / "agent.sqlite")
        self.binaries = ArtifactStore(root, self.store, lambda: NOW)
        self.binaries.open()
        self.fault: HostFault | None = None
        self.stage: RunPreparer | None = None
        self.in_thread: Callable[..., Deferred[Any]] = maybeDeferred
        self.followed: list[RunLogWriter] = []
        incoming = self.binaries.receive()
        incoming.write(PROGRAM)
        self.binary: Binary = incoming.commit()
        self.job = Job("job-1", JobSpec("name", 1, 1, self.binary.id), NOW)

    def prepare(self) -> Deferred[PreparedRun]:
        """Prepare the job."""

        async def fault() -> HostFault | None:
            return self.fault

        if self.stage is None:
            self.stage = RunPreparer(
                self.work,
                self.logs,
                self.binaries,
                None,
                fault,
                lambda *call: self.in_thread(*call),
                lambda job, log: self.follow(job, log),
            )
        return ensureDeferred(self.stage.prepare(self.job))

    async def follow(self, job: Job, log: RunLogWriter) -> None:
        """Note that a log is followed."""
        self.followed.append(log)

    def refusal(self, requeue: bool = False) -> str:
        """Prepare the job, which is refused without leaving anything; return the reason.

        With `requeue` it is refused for the machine's fault, and stays in the queue.
        """
        failures: list[Failure] = []
        self.prepare().addErrback(failures.append)
        (failure,) = failures
        failure.trap(PreparationError)
        assert list(self.work.iterdir()) == []
        cause = failure.value.cause
        assert cause.requeue is requeue
        assert cause.message.endswith(".")
        return str(cause.reason)


@pytest.fixture
def rooms(tmp_path: Path) -> Iterator[Rooms]:
    """The stage of the test."""
    rooms = Rooms(tmp_path)
    yield rooms
    rooms.store.close()


def test_staged(rooms: Rooms) -> None:
    """A run gets the uploaded bytes, a directory nobody else enters, and an empty log."""
    told: list[PreparedRun] = []
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
    staged.cleanup()
    staged.log.close()
    staged.discard_log()
    assert list(rooms.work.iterdir()) == list(rooms.logs.iterdir()) == []
    assert (rooms.binaries.ids / rooms.binary.id).read_bytes() == PROGRAM


def test_the_hosts_fault_refuses_the_job_for_now(rooms: Rooms) -> None:
    """What keeps every job from running is no job's fault; nothing is made."""
    rooms.fault = HostFault("rpc-port-busy", "Another program listens.")
    assert rooms.refusal(requeue=True) == "rpc-port-busy"
    assert list(rooms.logs.iterdir()) == []
    rooms.fault = None
    told: list[PreparedRun] = []
    rooms.prepare().addCallback(told.append)
    assert told[0].program.read_bytes() == PROGRAM
    told[0].log.close()


def test_an_unknown_binary(rooms: Rooms) -> None:
    """A binary that was deleted since the job was queued is told as changed."""
    rooms.job.spec = JobSpec("name", 1, 1, "deleted")
    assert rooms.refusal() == "binary-changed"


@pytest.mark.parametrize("content", [None, b"#!/bin/other\n"], ids=["gone", "other"])
def test_other_bytes(rooms: Rooms, content: bytes | None) -> None:
    """Bytes that are not those that were uploaded are not run."""
    kept = rooms.binaries.ids / rooms.binary.id
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
    ("number", "reason", "requeue"),
    [
        (errno.ENOSPC, "disk-full", True),
        (errno.EDQUOT, "disk-full", True),
        (errno.EROFS, "read-only", True),
        (errno.EIO, "disk-error", True),
        (errno.EMFILE, "no-descriptors", True),
        (errno.ENFILE, "no-descriptors", True),
        (errno.EAGAIN, "no-tasks", True),
        (errno.ENOMEM, "no-memory", True),
        (errno.EACCES, "prepare-failed", False),
    ],
)
@pytest.mark.parametrize("where", ["copy", "log"])
def test_only_the_jobs_own_fault_fails_it(
    rooms: Rooms,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
    number: int,
    reason: str,
    requeue: bool,
) -> None:
    """The machine's trouble puts it off, under a name of its own; then it is prepared as usual."""

    def failing(*_: object) -> Deferred[None]:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        if where == "copy":
            patch.setattr(rooms, "in_thread", failing)
        else:
            patch.setattr(RunLogWriter, "create", failing)
        assert rooms.refusal(requeue) == reason
    told: list[PreparedRun] = []
    rooms.prepare().addCallback(told.append)
    assert told[0].program.read_bytes() == PROGRAM
    told[0].log.close()


def test_a_thread_that_cannot_be_started(rooms: Rooms) -> None:
    """It is the machine that is out of tasks."""

    def failing(*_: object) -> Deferred[None]:
        raise RuntimeError("can't start new thread")

    rooms.in_thread = failing
    assert rooms.refusal(requeue=True) == "no-tasks"


def test_a_second_attempt_finds_what_the_first_has_left(rooms: Rooms) -> None:
    """A directory that could not be removed, and a log without a byte, are made anew."""
    told: list[PreparedRun] = []
    rooms.prepare().addCallback(told.append)
    told[0].log.close()
    (told[0].directory / "left").mkdir()
    rooms.prepare().addCallback(told.append)
    assert [path.name for path in told[1].directory.iterdir()] == ["loadtest"]
    told[1].log.close()


def test_a_copy_that_hangs_is_not_begun_again(rooms: Rooms) -> None:
    """Each attempt would take another thread from a disk that hangs; a later one waits its turn."""
    hanging: Deferred[None] = Deferred()
    rooms.in_thread = lambda *_: hanging
    failures: list[Failure] = []
    preparing = rooms.prepare().addErrback(failures.append)
    preparing.cancel()
    rooms.in_thread = maybeDeferred
    impatient = rooms.prepare().addErrback(failures.append)
    impatient.cancel()
    assert [failure.type for failure in failures] == [CancelledError, CancelledError]
    told: list[PreparedRun] = []
    rooms.prepare().addCallback(told.append)
    assert told == []
    hanging.callback(None)
    assert told[0].program.read_bytes() == PROGRAM
    told[0].log.close()


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
    """Somebody's removal of the work directory costs nothing: it is made again."""
    shutil.rmtree(rooms.work)
    told: list[PreparedRun] = []
    rooms.prepare().addCallback(told.append)
    assert told[0].program.read_bytes() == PROGRAM
    assert rooms.work.stat().st_mode & 0o777 == 0o711
    told[0].log.close()


def open_descriptors() -> int:
    """Return how many descriptors this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


def make_real(rooms: Rooms) -> WalSyncer:
    """Have the logs of the rooms followed by a real syncer."""
    logs = RunFiles(rooms.logs)
    syncer = WalSyncer(
        Clock(),
        maybeDeferred,
        rooms.store,
        rooms.binaries,
        lambda: None,
        lambda sentence: None,
    )

    async def follow(job: Job, log: RunLogWriter) -> None:
        await syncer.track(log, logs.open_sync(job))

    rooms.follow = follow  # type: ignore[method-assign]
    return syncer


def test_nothing_leaks_whichever_call_of_the_preparation_fails(
    rooms: Rooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every open, mkdir, symlink, rename and fsync fails once; no descriptor or file is left."""
    descriptors, tried = open_descriptors(), 0
    for call in ("open", "mkdir", "symlink", "rename", "fsync", "fchmod"):
        original, nth, fired = getattr(os, call), 0, True
        while fired:
            nth, fired, count = nth + 1, False, 0

            def failing(*arguments: Any, **named: Any) -> Any:
                nonlocal count, fired
                count += 1
                if count == nth:  # noqa: B023 (called in this turn of the loop)
                    fired = True
                    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
                return original(*arguments, **named)  # noqa: B023

            told: list[Any] = []
            # Failures of the syncer end it: each attempt has one of its own.
            syncer = make_real(rooms)
            with monkeypatch.context() as patch:
                patch.setattr(os, call, failing)
                rooms.stage = None
                rooms.prepare().addBoth(told.append)
            [outcome] = told
            if isinstance(outcome, PreparedRun):
                outcome.log.close()
                outcome.cleanup()
                remove_run(rooms.logs, "name", "job-1")
            else:
                outcome.trap(PreparationError, OSError)
                tried += 1
            assert ensureDeferred(syncer.stop()).called
            assert list(rooms.work.iterdir()) == [], (call, nth)
            if fired:
                left = {path.name for path in rooms.logs.glob("name/*")}
                assert left <= {"out.log", "err.log"}, (call, nth, left)
            assert open_descriptors() == descriptors, (call, nth)
    print(f"nothing leaks: {tried} calls failed once each")
    assert tried > 10
