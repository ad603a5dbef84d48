"""The runs whose logs are removed by retention, and the bound of the history."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import ensureDeferred, maybeDeferred
from unit.runs.one_run import NOW, RESULT

from goloagent.core.job_spec import JobSpec
from goloagent.jobs.database import SettledRun, Store
from goloagent.jobs.job import Checkpoint, Job, State
from goloagent.outputs.checkpoint import Account
from goloagent.wal.retention import Aged, Ages, Retention, select_expired
from goloagent.wal.run_log import RunLogWriter

RUNS = st.lists(st.tuples(st.integers(0, 100), st.integers(0, 50))).map(
    lambda pairs: [
        Aged(SettledRun(str(number), "name", NOW - timedelta(seconds=age)), age, size)
        for number, (age, size) in enumerate(pairs)
    ]
)


@given(RUNS, st.integers(0, 100), st.integers(0, 500))
def test_the_oldest_go(runs: list[Aged], max_age: int, max_bytes: int) -> None:
    """The rest is young and small enough, and younger than all removed runs."""
    gone = select_expired(runs, max_age, max_bytes)
    kept = [aged for aged in runs if aged.run not in gone]
    assert all(aged.age <= max_age for aged in kept)
    assert sum(aged.size for aged in kept) <= max_bytes
    assert all(aged.run.ended_at >= left.ended_at for aged in kept for left in gone)
    assert gone == sorted(gone, key=lambda run: run.ended_at)
    if max_age == 100 and sum(aged.size for aged in runs) <= max_bytes:
        assert gone == []


class Time:
    """A monotonic clock, and a time of day that can be `set`."""

    def __init__(self) -> None:
        self.elapsed = timedelta()
        self.set = timedelta()

    def now(self) -> datetime:
        """Return the time of day."""
        return NOW + self.elapsed + self.set

    def ages(self) -> Ages:
        """Return the ages of runs by these clocks."""
        return Ages(self.elapsed_seconds, self.now)

    def elapsed_seconds(self) -> float:
        """Return the monotonic time."""
        return self.elapsed.total_seconds()


@pytest.mark.parametrize("step", [timedelta(hours=2), timedelta(days=40), timedelta(days=20000)])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_clock_that_is_set_makes_no_run_old(step: timedelta, sign: int) -> None:
    """Runs that ended before, at or after a step of the clock have their true age."""
    time, day = Time(), timedelta(days=1)
    ages = time.ages()
    runs = [SettledRun("old", "name", NOW - 10 * day)]
    assert sweep(ages, runs) == {"old": 10 * day.total_seconds()}
    time.elapsed += day
    runs.append(SettledRun("before", "name", time.now()))
    time.set = sign * step
    runs.append(SettledRun("after", "name", time.now()))
    time.elapsed += day
    found = sweep(ages, runs)
    assert found["old"] == 12 * day.total_seconds()
    assert all(0 <= found[name] <= 2 * day.total_seconds() for name in ("before", "after"))
    time.set = timedelta()
    time.elapsed += day
    expected = {name: age + day.total_seconds() for name, age in found.items()}
    assert sweep(ages, runs) == expected


def sweep(ages: Ages, runs: list[SettledRun]) -> dict[str, float]:
    """Return the ages that a sweep finds."""
    ages.begin()
    found = {run.job_id: ages.of(run) for run in runs}
    ages.end()
    return found


def test_a_run_that_ends_in_the_future_has_no_age() -> None:
    """The clock may have been set back between two processes."""
    ages = Time().ages()
    assert sweep(ages, [SettledRun("run", "name", NOW + timedelta(days=9))]) == {"run": 0.0}
    assert sweep(ages, []) == {}


def test_a_sweep_that_fails_changes_no_age() -> None:
    """Runs that it did not reach have the same age in the next one."""
    time = Time()
    ages = time.ages()
    ages.begin()
    time.elapsed += timedelta(days=1)
    old = SettledRun("old", "name", NOW - timedelta(days=9))
    assert sweep(ages, [old]) == {"old": timedelta(days=10).total_seconds()}
    ages.begin()
    time.elapsed += timedelta(days=1)
    assert sweep(ages, [old]) == {"old": timedelta(days=11).total_seconds()}


class Archive:
    """A store and the logs of its jobs."""

    def __init__(self, root: Path) -> None:
        self.logs = root / "logs"
        self.logs.mkdir()
        self.store = Store(root / "agent.sqlite")

    def add(self, name: str, job_id: str, days: int, pending: int = 0) -> Path:
        """Create a run that ended a number of days ago; return its directory."""
        log = RunLogWriter.create(self.logs, name, job_id)
        log.append_stdout(RESULT * 10)
        log.close()
        job = Job(job_id, JobSpec(name, 1, 1, "b"), NOW, has_log=True)
        self.store.add(job)
        job.state, job.ended_at = State.FINISHED, NOW - timedelta(days=days)
        job.lines.read, job.checkpoint.delivered = 10, 10 - pending
        self.store.save(job)
        return self.logs / name / job_id

    def give_up(self, job: Job) -> None:
        """Abandon what is pending, and save it before the log is removed."""
        for name in job.checkpoints:
            Account(job, name).abandon()
        self.store.save(job)
        assert (self.logs / job.spec.name / job.id / "out.log").exists()

    def sweep(self, days: int = 30, most_bytes: int = 10**9, jobs: int = 1000) -> None:
        """Make a sweep."""
        limits = days, most_bytes, jobs
        retention = Retention(
            self.store, self.logs, *limits, Time().ages(), maybeDeferred, self.give_up
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
    """The run's directory is removed; the job and younger runs stay."""
    old, young = archive.add("name", "old", 31), archive.add("name", "young", 29)
    archive.sweep()
    assert (old.exists(), young.exists()) == (False, True)
    job = archive.store.get("old")
    assert job is not None
    assert (job.has_log, job.results.delivered) == (False, 10)
    assert (archive.logs / "name" / "out.log").readlink() == Path("young/out.log")


def test_by_size(archive: Archive) -> None:
    """The oldest are removed until the rest is small enough."""
    runs = [archive.add("name", f"job-{days}", days) for days in (3, 2, 1)]
    archive.sweep(most_bytes=2 * 10 * len(RESULT))
    assert [run.exists() for run in runs] == [False, True, True]


def test_pending_runs_stay(archive: Archive) -> None:
    """Neither age nor size removes pending results."""
    run = archive.add("name", "pending", 1000, pending=1)
    archive.sweep(days=0, most_bytes=1)
    assert (run / "out.log").read_bytes() == RESULT * 10


@pytest.mark.parametrize("required", [True, False])
def test_pending_results_of_an_output(archive: Archive, required: bool) -> None:
    """They stay for a required output; for another one they are abandoned, and that is saved."""
    run = archive.add("name", "pending", 1000, pending=1)
    job = archive.store.get("pending")
    assert job is not None
    job.checkpoint.delivered = 10
    job.outputs = {"influx": Checkpoint(delivered=4, committed=5, required=required)}
    archive.store.save(job)
    archive.sweep()
    assert run.exists() is required
    saved = archive.store.get("pending")
    assert saved is not None
    assert saved.account("influx").pending == (6 if required else 0)
    assert saved.outputs["influx"].abandoned == (0 if required else 6)
    assert saved.has_log is required
    archive.store.close()
    archive.store = Store(archive.logs.parent / "agent.sqlite")
    assert archive.store.get("pending") == saved


def test_the_last_run_of_a_name(archive: Archive) -> None:
    """Its links and the directory of its name are removed too."""
    archive.add("name", "only", 31)
    archive.sweep()
    assert list(archive.logs.iterdir()) == []


def test_a_log_that_is_gone_already(archive: Archive) -> None:
    """It is recorded as removed, and the others are removed."""
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
    """The oldest jobs without a log are removed; jobs with a log or pending results stay."""
    for number in range(250):
        archive.add("shop", f"job-{number}", days=40 if number % 2 else 1)
    archive.add("shop", "last", days=40, pending=1)
    archive.sweep(jobs=100)
    left = [job.id for job in archive.store.newest(1000)]
    newest = [f"job-{number}" for number in range(151, 250)]
    older_with_a_log = [f"job-{number}" for number in range(0, 151, 2)]
    assert sorted(left) == sorted(["last", *newest, *older_with_a_log])
    assert sum(archive.store.count().values()) == len(left)
