"""What the disk holds and the database does not know is restored at every start."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from twisted.internet.defer import Deferred, ensureDeferred, maybeDeferred
from unit.runs.one_run import NOW, RESULT

from goloagent.artifacts.store import ArtifactStore
from goloagent.jobs.database import Store
from goloagent.jobs.job import Job, ResultCounts, State
from goloagent.jobs.queue_files import QueuedJobs
from goloagent.jobs.spec import JobSpec
from goloagent.runs.recovery import Recovery
from goloagent.runs.restoration import Restoration
from goloagent.wal.rebuild import RunScanner
from goloagent.wal.run_files import RunFiles
from goloagent.wal.run_log import RunLogWriter


class Life:
    """An agent's database and disk; what is pending is handed on."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.store = Store(root / "agent.sqlite")
        self.logs = RunFiles(root / "logs")
        self.logs.root.mkdir()
        self.remains = RunScanner(root / "binaries", self.logs.root, root / "queue")
        self.remains.queue.mkdir()
        ArtifactStore(root, self.store, lambda: NOW).open()
        self.notices: list[str] = []
        self.pending: list[str] = []
        self.in_thread: Callable[..., Deferred[Any]] = maybeDeferred

    def lose_database(self) -> None:
        """Begin with a new one."""
        self.store.close()
        for path in self.root.glob("agent.sqlite*"):
            path.unlink()
        self.store = Store(self.root / "agent.sqlite")

    def upload(self) -> str:
        """Keep a binary."""
        upload = ArtifactStore(self.root, self.store, lambda: NOW).receive()
        upload.write(b"#!/bin/sh\n")
        upload.sync()
        return upload.commit().id

    def run(self, job: Job, results: int) -> None:
        """Leave a log with so many results."""
        log = RunLogWriter.create(self.logs.root, job.spec.name, job.id)
        log.append_stdout(RESULT * results)
        log.close()

    def restore(self, damage: str | None = None) -> bool:
        """Restore as a start does."""
        self.notices.clear()
        self.queued = QueuedJobs(self.remains.queue)
        recovery = Recovery(
            self.store,
            self.logs.open,
            self,
            self.store.save,
            lambda: NOW,
            maybeDeferred,
            self.notices.append,
            self.logs.write_statistics,
            self.logs.stderr_tail,
            self.logs.read_manifest,
        )
        restoration = Restoration(
            self.store,
            self.remains,
            self.queued,
            recovery,
            self.store.save,
            lambda: NOW,
            self.in_thread,
            self.notices.append,
        )
        ends: list[bool] = []

        async def begin() -> None:
            await recovery.recover()
            ends.append(await restoration.restore(damage))

        assert ensureDeferred(begin()).called
        return ends[0]

    def begin(self, job: Job) -> None:
        self.pending.append(job.id)

    def on_appended(self, job: Job) -> None:
        raise AssertionError("a recovered log does not grow")

    def end(self, job: Job) -> None:
        assert job.id in self.pending


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Life]:
    """The agent's life of the test."""
    life = Life(tmp_path)
    yield life
    life.store.close()


def new_job(binary: str = "b", after_seconds: float = 0) -> Job:
    """Return a job that is queued."""
    queued_at = NOW + timedelta(seconds=after_seconds)
    return Job(str(uuid4()), JobSpec("shop", 3, 60, binary), queued_at)


@pytest.mark.parametrize("damage", [None, "the database was missing"])
def test_a_new_database_gets_all_that_the_disk_has(life: Life, damage: str | None) -> None:
    """Whether it was found to be new or is one without rows: binaries, runs and the queue."""
    binary = life.upload()
    ran, first, second = new_job(binary), new_job(binary, 1), new_job(binary, 2)
    life.run(ran, 5)
    for job in (second, first):
        QueuedJobs(life.remains.queue).observe(job)
    life.lose_database()
    assert life.restore(damage)
    assert life.store.binary(binary) is not None
    assert life.pending == [ran.id]
    assert life.store.queued() == [first, second]
    assert life.notices[0] == damage or "older than the disk" in life.notices[0]
    assert "1 binaries and 1 runs, of which 1 have no account" in life.notices[-1]
    assert "2 queued jobs" in life.notices[-1]


def test_a_database_that_knows_all_says_nothing(life: Life) -> None:
    """An ordinary start restores nothing, and a second one after a restoration neither."""
    binary = life.upload()
    ran = new_job(binary)
    life.run(ran, 1)
    life.lose_database()
    assert life.restore("lost")
    assert life.restore()
    assert life.notices == []


def test_an_old_database_runs_nothing_twice(life: Life) -> None:
    """A job that a copy has queued, and that has a log, has run: it is delivered and not run."""
    job = new_job()
    life.store.add(job)
    life.run(job, 4)
    assert life.restore()
    assert life.store.queued() == []
    [found] = life.store.unsettled()
    assert (found.state, found.cause and found.cause.reason) == (State.INTERRUPTED, "state-lost")
    assert found.results.pending == 4
    assert life.pending == [job.id]


@pytest.mark.parametrize("is_lost", [False, True])
def test_a_job_that_was_about_to_start_stays_queued(life: Life, is_lost: bool) -> None:
    """A kill between the making of its log and the commit leaves an empty log and its file."""
    job = new_job()
    life.store.add(job)
    QueuedJobs(life.remains.queue).observe(job)
    life.run(job, 0)
    if is_lost:
        life.lose_database()
    assert life.restore()
    assert [queued.id for queued in life.store.queued()] == [job.id]
    assert bool(life.notices) is is_lost
    assert life.pending == []


def test_a_run_that_has_printed_nothing_is_not_run_twice(life: Life) -> None:
    """Its file is gone since before the load test was started."""
    job = new_job()
    life.store.add(job)
    life.run(job, 0)
    assert life.restore()
    assert life.store.queued() == []


def test_a_job_that_is_queued_meanwhile(life: Life) -> None:
    """A client comes while the disk is read: its job has a row and a file, and is queued once."""
    job = new_job()

    def in_thread(function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        if not life.store.queued():
            life.store.add(job)
            life.queued.observe(job)
        return maybeDeferred(function, *arguments)

    life.in_thread = in_thread
    assert life.restore()
    assert life.store.queued() == [job]
    assert life.notices == []


@pytest.mark.parametrize("state", [State.RUNNING, State.FINISHED])
def test_an_old_database_sends_nothing_twice(life: Life, state: State) -> None:
    """The account beside the log says that all is delivered, whatever a copy has of it."""
    job = new_job()
    life.store.add(job)
    life.run(job, 4)
    job.has_log, job.started_at, job.ended_at = True, NOW, NOW
    job.restore_results(ResultCounts(read=4, delivered=4, committed=4 * len(RESULT)))
    life.logs.write_manifest(job)
    job.state = state
    job.restore_results(ResultCounts(read=2, delivered=1, committed=len(RESULT)))
    life.store.save(job)
    assert life.restore()
    assert life.pending == []
    found = life.store.get(job.id)
    assert found is not None
    assert (found.results.delivered, found.results.pending) == (4, 0)


def test_a_disk_that_takes_no_rows_is_said_and_tried_again(life: Life) -> None:
    """The agent starts, and the next start restores the rest."""
    binary = life.upload()
    life.lose_database()
    life.store.freeze()
    assert not life.restore("lost")
    assert "the next start continues" in life.notices[-1]
    life.store.close()
    life.store = Store(life.root / "agent.sqlite")
    assert life.restore()
    assert life.store.binary(binary) is not None


def test_files_of_jobs_that_are_not_queued_go(life: Life) -> None:
    """What a kill left between the run's log and the file's removal."""
    job = new_job()
    QueuedJobs(life.remains.queue).observe(job)
    job.state = State.CANCELLED
    life.store.add(job)
    life.store.save(job)
    assert life.restore()
    assert list(life.remains.queue.iterdir()) == []
