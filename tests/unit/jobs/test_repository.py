"""A job is saved, then published; what could not be saved or written is not forgotten."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from unit.runs.one_run import NOW

from goloagent.core.job_spec import JobSpec
from goloagent.jobs.database import Store
from goloagent.jobs.job import Job, State
from goloagent.jobs.repository import JobRepository


class Jobs:
    """A repository on a real store, and its notifications."""

    def __init__(self, path: Path) -> None:
        self.store = Store(path)
        self.story: list[str] = []
        self.no_account: type[OSError] | None = None
        self.repository = JobRepository(
            self.store,
            [lambda job: self.story.append(f"{job.state.value} is {self._saved(job)}")],
            self._write_account,
            lambda sentence: self.story.append("warned"),
        )

    def over(self) -> Job:
        """Return a live job that has just ended with a log, delivered to its end; not saved."""
        job = Job("job-1", JobSpec("shop", 1, 1, "b"), NOW)
        self.repository.add(job)
        self.story.clear()
        job.state, job.has_log = State.FINISHED, True
        return job

    def fill(self) -> None:
        """Let no write succeed any more."""
        self.store._database.execute("PRAGMA query_only = 1")

    def empty(self) -> None:
        """Let writes succeed again."""
        self.store._database.execute("PRAGMA query_only = 0")

    def _saved(self, job: Job) -> str:
        """Say whether the file has the job as it stands."""
        rows = self.store._database.execute("SELECT state FROM jobs WHERE id = ?", [job.id])
        return "saved" if rows.fetchone()["state"] == job.state.value else "not saved"

    def _write_account(self, job: Job) -> None:
        if self.no_account is not None:
            raise self.no_account(errno.EACCES, os.strerror(errno.EACCES))
        self.story.append("account")


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[Jobs]:
    """Return an empty repository."""
    jobs = Jobs(tmp_path / "agent.sqlite")
    yield jobs
    jobs.store.close()


def test_a_job_is_saved_and_then_published(jobs: Jobs) -> None:
    """A published state is in the database."""
    job = jobs.over()
    jobs.repository.save(job)
    assert jobs.story == ["account", "finished is saved"]


def test_a_new_job_that_cannot_be_saved_is_not_published(jobs: Jobs) -> None:
    """Nobody hears of it, and it is not in the queue."""
    jobs.fill()
    with pytest.raises(OSError, match="readonly"):
        jobs.repository.add(Job("job-1", JobSpec("shop", 1, 1, "b"), NOW))
    assert jobs.story == []
    assert jobs.store.queued() == []


def test_a_change_that_cannot_be_saved_has_not_happened(jobs: Jobs) -> None:
    """It is neither published nor saved later."""
    job = jobs.over()
    jobs.fill()
    with pytest.raises(OSError, match="readonly"):
        jobs.repository.change(job)
    jobs.empty()
    jobs.repository.save_again()
    assert jobs.story == []


def test_what_has_happened_is_published_and_saved_later(jobs: Jobs) -> None:
    """The job goes on without a database, which has it, and its account, when it works again."""
    job = jobs.over()
    jobs.fill()
    with pytest.raises(OSError, match="readonly"):
        jobs.repository.save(job)
    jobs.repository.save_soon(job)
    assert jobs.story == ["warned", "finished is not saved", "finished is not saved"]
    jobs.repository.save_again()
    jobs.empty()
    jobs.story.clear()
    for _ in range(3):
        jobs.repository.save_again()
    assert jobs.story == ["account"]
    assert list(jobs.store.unsettled()) == []
    kept = jobs.store.get("job-1")
    assert kept is not None
    assert kept.state is State.FINISHED


def test_an_account_that_cannot_be_written_is_written_later(jobs: Jobs) -> None:
    """It is said once, and written when the disk allows."""
    job = jobs.over()
    jobs.no_account = OSError
    jobs.repository.save(job)
    jobs.repository.save_again()
    jobs.no_account = None
    for _ in range(3):
        jobs.repository.save_again()
    assert jobs.story == ["warned", "finished is saved", "account"]


def test_an_account_without_a_log_is_not_tried_again(jobs: Jobs) -> None:
    """A removed log is not created again."""
    job = jobs.over()
    jobs.no_account = FileNotFoundError
    jobs.repository.save(job)
    jobs.no_account = None
    jobs.repository.save_again()
    assert jobs.story == ["warned", "finished is saved"]


def test_no_account_of_what_is_not_settled_or_has_no_log(jobs: Jobs) -> None:
    """It would be wrong in the next life."""
    job = jobs.over()
    job.lines.read = 1
    jobs.repository.save(job)
    job.checkpoint.delivered, job.has_log = 1, False
    jobs.repository.save(job)
    assert jobs.story == ["finished is saved"] * 2


def test_a_failed_disk_gets_no_account(jobs: Jobs) -> None:
    """It would say more than the database: after a restart the disk says what it has."""
    job = jobs.over()
    jobs.store.freeze()
    with pytest.raises(OSError, match="disk"):
        jobs.repository.save(job)
    jobs.repository.save_again()
    assert jobs.story == ["warned", "finished is not saved"]
