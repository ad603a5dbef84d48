"""Every start restores the rows of files that the database misses."""

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
from goloagent.core.job_spec import JobSpec
from goloagent.jobs.database import Store
from goloagent.jobs.job import Checkpoint, Job, ResultCounts, State
from goloagent.jobs.queue_files import QueuedJobs
from goloagent.runs.recovery import Recovery
from goloagent.runs.restoration import Restoration
from goloagent.wal.rebuild import RunScanner
from goloagent.wal.run_files import RunFiles
from goloagent.wal.run_log import RunLogWriter


class Agent:
    """The database and files of an agent, and its output."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.store = Store(root / "agent.sqlite")
        self.logs = RunFiles(root / "logs")
        self.logs.root.mkdir()
        self.scanner = RunScanner(root / "binaries", self.logs.root, root / "queue")
        self.scanner.queue.mkdir()
        ArtifactStore(root, self.store, lambda: NOW).open()
        self.notices: list[str] = []
        self.pending: list[str] = []
        self.in_thread: Callable[..., Deferred[Any]] = maybeDeferred

    def lose_database(self) -> None:
        """Replace it by an empty one."""
        self.store.close()
        for path in self.root.glob("agent.sqlite*"):
            path.unlink()
        self.store = Store(self.root / "agent.sqlite")

    def upload(self) -> str:
        """Upload a binary."""
        upload = ArtifactStore(self.root, self.store, lambda: NOW).receive()
        upload.write(b"#!/bin/sh\n")
        upload.sync()
        return upload.commit().id

    def run(self, job: Job, results: int) -> None:
        """Create a log with a number of results."""
        log = RunLogWriter.create(self.logs.root, job.spec.name, job.id)
        log.append_stdout(RESULT * results)
        log.close()

    def restore(self, damage: str | None = None) -> bool:
        """Recover and restore, like a start."""
        self.notices.clear()
        self.queued = QueuedJobs(self.scanner.queue)
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
            self.scanner,
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

    def assign(self, job: Job) -> None:
        assert job.results == ResultCounts()

    def begin(self, job: Job) -> None:
        self.pending.append(job.id)

    def on_appended(self, job: Job) -> None:
        raise AssertionError("a recovered log does not grow")

    def end(self, job: Job) -> None:
        assert job.id in self.pending


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    """Return an agent with an empty database."""
    agent = Agent(tmp_path)
    yield agent
    agent.store.close()


def new_job(binary: str = "b", after_seconds: float = 0) -> Job:
    """Return a job that is queued."""
    queued_at = NOW + timedelta(seconds=after_seconds)
    return Job(str(uuid4()), JobSpec("shop", 3, 60, binary), queued_at)


@pytest.mark.parametrize("damage", [None, "the database was missing"])
def test_a_new_database_is_restored_from_the_disk(agent: Agent, damage: str | None) -> None:
    """All rows are restored, whether the database was replaced or is only empty."""
    binary = agent.upload()
    ran, first, second = new_job(binary), new_job(binary, 1), new_job(binary, 2)
    agent.run(ran, 5)
    for job in (second, first):
        QueuedJobs(agent.scanner.queue).observe(job)
    agent.lose_database()
    assert agent.restore(damage)
    assert agent.store.binary(binary) is not None
    assert agent.pending == [ran.id]
    assert agent.store.queued() == [first, second]
    assert agent.notices[0] == damage or "older than the disk" in agent.notices[0]
    assert "1 binaries and 1 runs, of which 1 have no account" in agent.notices[-1]
    assert "2 queued jobs" in agent.notices[-1]


def test_a_complete_database_needs_no_notice(agent: Agent) -> None:
    """A second start after a restoration restores nothing."""
    binary = agent.upload()
    ran = new_job(binary)
    agent.run(ran, 1)
    agent.lose_database()
    assert agent.restore("lost")
    assert agent.restore()
    assert agent.notices == []


def test_an_old_database_runs_nothing_twice(agent: Agent) -> None:
    """A job that is queued in an old copy and has a log is delivered and not run."""
    job = new_job()
    agent.store.add(job)
    agent.run(job, 4)
    assert agent.restore()
    assert agent.store.queued() == []
    [found] = agent.store.unsettled()
    assert (found.state, found.cause and found.cause.reason) == (State.INTERRUPTED, "state-lost")
    assert found.results.pending == 4
    assert agent.pending == [job.id]


@pytest.mark.parametrize("is_lost", [False, True])
def test_a_job_that_was_about_to_start_stays_queued(agent: Agent, is_lost: bool) -> None:
    """A kill between the creation of the log and the commit leaves an empty log and the file."""
    job = new_job()
    agent.store.add(job)
    QueuedJobs(agent.scanner.queue).observe(job)
    agent.run(job, 0)
    if is_lost:
        agent.lose_database()
    assert agent.restore()
    assert [queued.id for queued in agent.store.queued()] == [job.id]
    assert bool(agent.notices) is is_lost
    assert agent.pending == []


def test_a_run_that_has_printed_nothing_is_not_run_twice(agent: Agent) -> None:
    """Its file was removed before the load test was started."""
    job = new_job()
    agent.store.add(job)
    agent.run(job, 0)
    assert agent.restore()
    assert agent.store.queued() == []


def test_a_job_that_is_queued_meanwhile(agent: Agent) -> None:
    """A job queued while the disk is read has a row and a file, and is queued once."""
    job = new_job()

    def in_thread(function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        if not agent.store.queued():
            agent.store.add(job)
            agent.queued.observe(job)
        return maybeDeferred(function, *arguments)

    agent.in_thread = in_thread
    assert agent.restore()
    assert agent.store.queued() == [job]
    assert agent.notices == []


@pytest.mark.parametrize("state", [State.RUNNING, State.FINISHED])
def test_an_old_database_sends_nothing_twice(agent: Agent, state: State) -> None:
    """The manifest next to the log is newer than the old copy."""
    job = new_job()
    agent.store.add(job)
    agent.run(job, 4)
    job.has_log, job.started_at, job.ended_at = True, NOW, NOW
    job.restore_results(ResultCounts(read=4, delivered=4, committed=4 * len(RESULT)))
    agent.logs.write_manifest(job)
    job.state = state
    job.restore_results(ResultCounts(read=2, delivered=1, committed=len(RESULT)))
    agent.store.save(job)
    assert agent.restore()
    assert agent.pending == []
    found = agent.store.get(job.id)
    assert found is not None
    assert (found.results.delivered, found.results.pending) == (4, 0)


def test_an_old_database_sends_nothing_twice_to_other_outputs(agent: Agent) -> None:
    """The collector had all results in the old copy; an output that the manifest lacks stays."""
    job, size = new_job(), len(RESULT)
    agent.store.add(job)
    agent.run(job, 4)
    job.has_log, job.started_at, job.ended_at = True, NOW, NOW
    counts = ResultCounts(read=4, delivered=4, committed=4 * size)
    job.restore_results(counts, {"archive": Checkpoint(4, committed=4 * size)})
    agent.logs.write_manifest(job)
    job.state = State.FINISHED
    older = {"archive": Checkpoint(1, committed=size), "queue": Checkpoint(2, committed=2 * size)}
    job.restore_results(counts, older)
    agent.store.save(job)
    assert agent.restore()
    found = agent.store.get(job.id)
    assert found is not None
    pending = {name: found.account(name).pending for name in found.checkpoints}
    assert pending == {"collector": 0, "archive": 0, "queue": 2}


def test_rows_that_cannot_be_written(agent: Agent) -> None:
    """The agent starts with a notice, and the next start restores the rest."""
    binary = agent.upload()
    agent.lose_database()
    agent.store.freeze()
    assert not agent.restore("lost")
    assert "the next start continues" in agent.notices[-1]
    agent.store.close()
    agent.store = Store(agent.root / "agent.sqlite")
    assert agent.restore()
    assert agent.store.binary(binary) is not None


def test_files_of_jobs_not_queued_are_removed(agent: Agent) -> None:
    """A kill can leave them between the creation of the log and the removal."""
    job = new_job()
    QueuedJobs(agent.scanner.queue).observe(job)
    job.state = State.CANCELLED
    agent.store.add(job)
    agent.store.save(job)
    assert agent.restore()
    assert list(agent.scanner.queue.iterdir()) == []
