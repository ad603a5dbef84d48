"""Which runs' logs are removed, and that nothing else is."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import ensureDeferred, maybeDeferred
from unit.runs.one_run import NOW, RESULT

from goloagent.disk.retention import Retention, overdue
from goloagent.jobs.job import Job, State
from goloagent.jobs.spec import JobSpec
from goloagent.jobs.store import SettledRun, Store
from goloagent.results.runlog import RunLog

RUNS = st.lists(st.tuples(st.integers(0, 100), st.integers(0, 50))).map(
    lambda pairs: [
        (SettledRun(str(number), "name", NOW - timedelta(days=days)), size)
        for number, (days, size) in enumerate(pairs)
    ]
)


@given(RUNS, st.integers(0, 100), st.integers(0, 500))
def test_the_oldest_go(runs: list[tuple[SettledRun, int]], days: int, most_bytes: int) -> None:
    """What stays is young enough, small enough in all, and younger than all that goes."""
    oldest = NOW - timedelta(days=days)
    gone = overdue(runs, oldest, most_bytes)
    kept = [(run, size) for run, size in runs if run not in gone]
    assert all(run.ended_at >= oldest for run, _ in kept)
    assert sum(size for _, size in kept) <= most_bytes
    assert all(run.ended_at >= left.ended_at for run, _ in kept for left in gone)
    assert gone == sorted(gone, key=lambda run: run.ended_at)
    if days == 100 and sum(size for _, size in runs) <= most_bytes:
        assert gone == []


class Archive:
    """A store and the logs of its jobs."""

    def __init__(self, root: Path) -> None:
        self.logs = root / "logs"
        self.logs.mkdir()
        self.store = Store(root / "agent.sqlite")

    def add(self, name: str, job_id: str, days: int, pending: int = 0) -> Path:
        """Leave behind a run that ended so many days ago; return its directory."""
        log = RunLog.create(self.logs, name, job_id)
        log.append_stdout(RESULT * 10)
        log.close()
        job = Job(job_id, JobSpec(name, 1, 1, "b"), NOW, logged=True)
        self.store.add(job)
        job.state, job.ended_at = State.FINISHED, NOW - timedelta(days=days)
        job.results.read, job.results.delivered = 10, 10 - pending
        self.store.save(job)
        return self.logs / name / job_id

    def sweep(self, days: int = 30, most_bytes: int = 10**9, jobs: int = 1000) -> None:
        """Remove what is overdue."""
        retention = Retention(
            self.store, self.logs, days, most_bytes, jobs, lambda: NOW, maybeDeferred
        )
        swept = ensureDeferred(retention.sweep())
        assert swept.called
        swept.addErrback(lambda failure: failure.raiseException())


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    """Return an empty archive."""
    archive = Archive(tmp_path)
    yield archive
    archive.store.close()


def test_by_age(archive: Archive) -> None:
    """A run's whole directory goes; the job stays in the history, and younger runs on disk."""
    old, young = archive.add("name", "old", 31), archive.add("name", "young", 29)
    archive.sweep()
    assert (old.exists(), young.exists()) == (False, True)
    job = archive.store.get("old")
    assert job is not None
    assert (job.logged, job.results.delivered) == (False, 10)
    assert (archive.logs / "name" / "out.log").readlink() == Path("young/out.log")


def test_by_size(archive: Archive) -> None:
    """The oldest go until what is left is small enough."""
    runs = [archive.add("name", f"job-{days}", days) for days in (3, 2, 1)]
    archive.sweep(most_bytes=2 * 10 * len(RESULT))
    assert [run.exists() for run in runs] == [False, True, True]


def test_what_is_pending_stays(archive: Archive) -> None:
    """No age and no size removes a result that was not delivered."""
    run = archive.add("name", "pending", 1000, pending=1)
    archive.sweep(days=0, most_bytes=1)
    assert (run / "out.log").read_bytes() == RESULT * 10


def test_the_last_run_of_a_name(archive: Archive) -> None:
    """Its links and its directory go with it."""
    archive.add("name", "only", 31)
    archive.sweep()
    assert list(archive.logs.iterdir()) == []


def test_a_log_that_is_gone_already(archive: Archive) -> None:
    """It is forgotten, and prevents no other from going."""
    (archive.add("gone", "job-1", 31)).rename(archive.logs / "elsewhere")
    other = archive.add("other", "job-2", 31)
    archive.sweep()
    assert not other.exists()
    assert archive.store.settled_runs() == []


def test_a_link_in_a_logs_place(archive: Archive, tmp_path: Path) -> None:
    """Nothing is removed through it."""
    run = archive.add("name", "job-1", 31)
    run.rename(tmp_path / "elsewhere")
    run.symlink_to(tmp_path / "elsewhere")
    archive.sweep()
    assert (tmp_path / "elsewhere" / "out.log").exists()


def test_the_history_is_bounded(archive: Archive) -> None:
    """The oldest jobs go once their logs have gone; what has a log, or is pending, stays."""
    for number in range(250):
        archive.add("shop", f"job-{number}", days=40 if number % 2 else 1)
    archive.add("shop", "last", days=40, pending=1)
    archive.sweep(jobs=100)
    left = [job.id for job in archive.store.newest(1000, None, None, None)]
    newest = [f"job-{number}" for number in range(151, 250)]
    older_with_a_log = [f"job-{number}" for number in range(0, 151, 2)]
    assert sorted(left) == sorted(["last", *newest, *older_with_a_log])
    assert sum(archive.store.count().values()) == len(left)
