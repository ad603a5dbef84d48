"""Preparation succeeds completely, or fails with a reason and leaves nothing."""

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
from goloagent.core.job_spec import JobSpec
from goloagent.jobs.database import Binary, Store
from goloagent.jobs.job import Job
from goloagent.runs.preparation import PreparationError, PreparedRun, RunPreparer
from goloagent.wal.run_directory import remove_run
from goloagent.wal.run_files import RunFiles
from goloagent.wal.run_log import RunLogWriter
from goloagent.wal.syncer import WalSyncer

PROGRAM = b"#!/bin/sh\n"


class Setup:
    """A preparer with directories of its own."""

    def __init__(self, root: Path) -> None:
        self.work, self.logs = root / "work", root / "logs"
        self.work.mkdir()
        self.logs.mkdir()
        self.store = Store(root / "agent.sqlite")
        self.binaries = ArtifactStore(root, self.store, lambda: NOW)
        self.binaries.open()
        self.fault: HostFault | None = None
        self.preparer: RunPreparer | None = None
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

        if self.preparer is None:
            self.preparer = RunPreparer(
                self.work,
                self.logs,
                self.binaries,
                None,
                fault,
                lambda *call: self.in_thread(*call),
                lambda job, log: self.follow(job, log),
            )
        return ensureDeferred(self.preparer.prepare(self.job))

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
def setup(tmp_path: Path) -> Iterator[Setup]:
    """Return a setup."""
    setup = Setup(tmp_path)
    yield setup
    setup.store.close()


def test_prepared(setup: Setup) -> None:
    """A run gets the uploaded bytes, a private directory, and an empty log."""
    outcomes: list[PreparedRun] = []
    setup.prepare().addCallback(outcomes.append)
    (prepared,) = outcomes
    assert prepared.program.read_bytes() == PROGRAM
    assert os.access(prepared.program, os.X_OK)
    assert prepared.program.parent == prepared.directory == setup.work / "job-1"
    assert prepared.directory.stat().st_mode & 0o777 == 0o700
    assert prepared.log.size == 0
    assert (setup.logs / "name" / "job-1" / "out.log").read_bytes() == b""
    (prepared.directory / "left").mkdir()
    (prepared.directory / "left" / "behind").write_bytes(b"x")
    prepared.cleanup()
    prepared.log.close()
    prepared.discard_log()
    assert list(setup.work.iterdir()) == list(setup.logs.iterdir()) == []
    assert (setup.binaries.ids / setup.binary.id).read_bytes() == PROGRAM


def upload(setup: Setup, content: bytes) -> str:
    """Store a content; return its id."""
    incoming = setup.binaries.receive(is_program=False)
    incoming.write(content)
    return incoming.commit().id


@pytest.mark.parametrize(
    ("share", "lines"),
    [
        (None, b"id\n1\n2\n3\n"),
        ({"index": 1, "of": 2}, b"id\n2\n"),
        ({"index": 0, "of": 1}, b"id\n1\n2\n3\n"),
    ],
)
def test_files(setup: Setup, share: dict[str, int] | None, lines: bytes) -> None:
    """Each is beside the program, for its user only, and of a divided one the agent's lines."""
    files = [
        {"name": "all.bin", "binary": upload(setup, b"a\r\n\0b")},
        {
            "name": "users.csv",
            "binary": upload(setup, b"id\n1\n2\n3\n"),
            "split": "lines",
            "header": True,
        },
    ]
    members = {"files": files} if share is None else {"files": files, "share": share}
    setup.job.spec = JobSpec("name", 1, 1, setup.binary.id, members)
    outcomes: list[PreparedRun] = []
    setup.prepare().addCallback(outcomes.append)
    (prepared,) = outcomes
    prepared.log.close()
    found = {path.name: path.read_bytes() for path in prepared.directory.iterdir()}
    assert found == {"loadtest": PROGRAM, "all.bin": b"a\r\n\0b", "users.csv": lines}
    assert (prepared.directory / "users.csv").stat().st_mode & 0o777 == 0o600


def test_a_file_that_is_gone(setup: Setup) -> None:
    """A job is not run without one of its files."""
    setup.job.spec = JobSpec(
        "name", 1, 1, setup.binary.id, {"files": [{"name": "a", "binary": "gone"}]}
    )
    assert setup.refusal() == "binary-changed"


def test_files_beyond_the_free_space(setup: Setup) -> None:
    """The job waits for space, instead of filling the disk."""
    files = [{"name": "a", "binary": upload(setup, b"12345")}]
    setup.job.spec = JobSpec("name", 1, 1, setup.binary.id, {"files": files})
    setup.prepare()
    assert setup.preparer is not None
    setup.preparer.room = lambda: len(PROGRAM) + 4
    assert setup.refusal(requeue=True) == "disk-full"
    setup.preparer.room = lambda: len(PROGRAM) + 5
    outcomes: list[PreparedRun] = []
    setup.prepare().addCallback(outcomes.append)
    assert (outcomes[0].directory / "a").read_bytes() == b"12345"
    outcomes[0].log.close()


def test_the_hosts_fault_requeues_the_job(setup: Setup) -> None:
    """A fault of the host requeues the job, and no file is created."""
    setup.fault = HostFault("rpc-port-busy", "Another program listens.")
    assert setup.refusal(requeue=True) == "rpc-port-busy"
    assert list(setup.logs.iterdir()) == []
    setup.fault = None
    outcomes: list[PreparedRun] = []
    setup.prepare().addCallback(outcomes.append)
    assert outcomes[0].program.read_bytes() == PROGRAM
    outcomes[0].log.close()


def test_an_unknown_binary(setup: Setup) -> None:
    """A binary deleted after the job was queued counts as changed."""
    setup.job.spec = JobSpec("name", 1, 1, "deleted")
    assert setup.refusal() == "binary-changed"


@pytest.mark.parametrize("content", [None, b"#!/bin/other\n"], ids=["gone", "other"])
def test_other_bytes(setup: Setup, content: bytes | None) -> None:
    """Bytes that are not those that were uploaded are not run."""
    kept = setup.binaries.ids / setup.binary.id
    kept.unlink()
    if content is not None:
        kept.write_bytes(content)
        assert hashlib.sha256(content).hexdigest() != setup.binary.sha256
    assert setup.refusal() == "binary-changed"


def test_a_link_where_a_log_belongs(setup: Setup, tmp_path: Path) -> None:
    """A planted link refuses the job, and nothing is written where it points."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (setup.logs / "name").symlink_to(outside)
    assert setup.refusal() == "log-path"
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
    setup: Setup,
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
            patch.setattr(setup, "in_thread", failing)
        else:
            patch.setattr(RunLogWriter, "create", failing)
        assert setup.refusal(requeue) == reason
    outcomes: list[PreparedRun] = []
    setup.prepare().addCallback(outcomes.append)
    assert outcomes[0].program.read_bytes() == PROGRAM
    outcomes[0].log.close()


def test_a_thread_that_cannot_be_started(setup: Setup) -> None:
    """It is the machine that is out of tasks."""

    def failing(*_: object) -> Deferred[None]:
        raise RuntimeError("can't start new thread")

    setup.in_thread = failing
    assert setup.refusal(requeue=True) == "no-tasks"


def test_a_second_attempt_finds_what_the_first_has_left(setup: Setup) -> None:
    """A directory that could not be removed, and a log without a byte, are made anew."""
    outcomes: list[PreparedRun] = []
    setup.prepare().addCallback(outcomes.append)
    outcomes[0].log.close()
    (outcomes[0].directory / "left").mkdir()
    setup.prepare().addCallback(outcomes.append)
    assert [path.name for path in outcomes[1].directory.iterdir()] == ["loadtest"]
    outcomes[1].log.close()


def test_a_copy_that_hangs_is_not_begun_again(setup: Setup) -> None:
    """Each attempt would take another thread from a disk that hangs; a later one waits its turn."""
    hanging: Deferred[None] = Deferred()
    setup.in_thread = lambda *_: hanging
    failures: list[Failure] = []
    preparing = setup.prepare().addErrback(failures.append)
    preparing.cancel()
    setup.in_thread = maybeDeferred
    impatient = setup.prepare().addErrback(failures.append)
    impatient.cancel()
    assert [failure.type for failure in failures] == [CancelledError, CancelledError]
    outcomes: list[PreparedRun] = []
    setup.prepare().addCallback(outcomes.append)
    assert outcomes == []
    hanging.callback(None)
    assert outcomes[0].program.read_bytes() == PROGRAM
    outcomes[0].log.close()


def test_cancelled(setup: Setup) -> None:
    """A cancel while the bytes are checked leaves no directory."""
    setup.in_thread = lambda *_: Deferred()
    failures: list[Failure] = []
    preparing = setup.prepare().addErrback(failures.append)
    assert [path.name for path in setup.work.iterdir()] == ["job-1"]
    preparing.cancel()
    assert len(failures) == 1
    assert list(setup.work.iterdir()) == []


def test_work_is_gone(setup: Setup) -> None:
    """A removed work directory is created again."""
    shutil.rmtree(setup.work)
    outcomes: list[PreparedRun] = []
    setup.prepare().addCallback(outcomes.append)
    assert outcomes[0].program.read_bytes() == PROGRAM
    assert setup.work.stat().st_mode & 0o777 == 0o711
    outcomes[0].log.close()


def open_descriptors() -> int:
    """Return how many descriptors this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


def make_real(setup: Setup) -> WalSyncer:
    """Have the logs of the setup followed by a real syncer."""
    logs = RunFiles(setup.logs)
    syncer = WalSyncer(
        Clock(),
        maybeDeferred,
        setup.store,
        setup.binaries,
        lambda: None,
        lambda sentence: None,
    )

    async def follow(job: Job, log: RunLogWriter) -> None:
        await syncer.track(log, logs.open_sync(job))

    setup.follow = follow  # type: ignore[method-assign]
    return syncer


def test_nothing_leaks_whichever_call_of_the_preparation_fails(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
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

            outcomes: list[Any] = []
            # Failures of the syncer end it: each attempt has one of its own.
            syncer = make_real(setup)
            with monkeypatch.context() as patch:
                patch.setattr(os, call, failing)
                setup.preparer = None
                setup.prepare().addBoth(outcomes.append)
            [outcome] = outcomes
            if isinstance(outcome, PreparedRun):
                outcome.log.close()
                outcome.cleanup()
                remove_run(setup.logs, "name", "job-1")
            else:
                outcome.trap(PreparationError, OSError)
                tried += 1
            assert ensureDeferred(syncer.stop()).called
            assert list(setup.work.iterdir()) == [], (call, nth)
            if fired:
                left = {path.name for path in setup.logs.glob("name/*")}
                assert left <= {"out.log", "err.log"}, (call, nth, left)
            assert open_descriptors() == descriptors, (call, nth)
    print(f"nothing leaks: {tried} calls failed once each")
    assert tried > 10
