"""The statistics of runs that are over, from their files or rebuilt once from their logs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.python.failure import Failure
from unit.runs.one_run import NOW, RESULT

from goloagent.core.job_spec import JobSpec
from goloagent.core.stats.histogram import Histogram
from goloagent.core.stats.run_stats import RunStatistics
from goloagent.core.stats.summary import ErrorSummary, Summary
from goloagent.core.timeline import Times, Window
from goloagent.jobs.job import Job, State
from goloagent.results.parser import parse
from goloagent.wal.run_directory import LogPathError
from goloagent.wal.run_log import RunLogReader, RunLogWriter
from goloagent.wal.stats_cache import SummaryCache
from goloagent.wal.stats_file import STATS, load_statistics, write_statistics
from goloagent.wal.timeline_file import TimelineFile


class Threads:
    """Worker threads that run when the test does it."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Callable[[], Any], Deferred[Any]]] = []
        self.names: list[str] = []

    def run(self, function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        """Queue a function."""
        done: Deferred[Any] = Deferred()
        self.waiting.append((lambda: function(*arguments), done))
        self.names.append(function.__name__.strip("_"))
        return done

    def one(self) -> None:
        """Run the first function."""
        function, done = self.waiting.pop(0)
        try:
            done.callback(function())
        except Exception:
            done.errback()

    def all(self) -> None:
        """Run all functions."""
        while self.waiting:
            self.one()


@pytest.fixture
def threads() -> Threads:
    """Return threads."""
    return Threads()


@pytest.fixture
def archive(tmp_path: Path, threads: Threads) -> SummaryCache:
    """Return an archive of `tmp_path`."""
    return SummaryCache(tmp_path, threads.run)


def ran(logs: Path, job_id: str = "one", results: int = 3) -> Job:
    """Create a run with results."""
    log = RunLogWriter.create(logs, "shop", job_id)
    log.append_stdout(RESULT * results)
    log.close()
    return Job(job_id, JobSpec("shop", 1, 1, "b"), NOW, State.FINISHED, has_log=True)


def outcome(deferred: Deferred[Summary]) -> list[Any]:
    """Return a list that receives the outcome."""
    found: list[Any] = []
    deferred.addBoth(found.append)
    return found


def test_stored_statistics(tmp_path: Path, archive: SummaryCache, threads: Threads) -> None:
    """They are returned, without a read of the log."""
    job = ran(tmp_path)
    write_statistics(tmp_path, "shop", "one", RunStatistics().summary())
    (summary,) = _outcomes(archive, threads, job)
    assert summary.results == 0
    assert threads.names == ["load_statistics"]


@pytest.mark.parametrize("damage", [b"", b"{", b'{"results": -1}', b"\xff"])
def test_damaged_statistics(
    tmp_path: Path, archive: SummaryCache, threads: Threads, damage: bytes
) -> None:
    """They are rebuilt from the log, and stored."""
    job = ran(tmp_path)
    (tmp_path / "shop" / "one" / STATS).write_bytes(damage)
    (summary,) = _outcomes(archive, threads, job)
    assert summary.results == 3
    assert load_statistics(tmp_path, "shop", "one") == summary


def test_concurrent_requests(tmp_path: Path, archive: SummaryCache, threads: Threads) -> None:
    """They share one rebuild, also if some are cancelled."""
    job = ran(tmp_path)
    asked = [archive.get(job) for _ in range(50)]
    asked[0].cancel()
    found = [outcome(deferred) for deferred in asked]
    threads.all()
    assert isinstance(found[0][0], Failure)
    assert found[0][0].check(CancelledError)
    assert [summary.results for (summary,) in found[1:]] == [3] * 49
    assert threads.names == ["load_statistics", "rebuild", "write_statistics"]


def test_a_run_that_has_just_ended(tmp_path: Path, archive: SummaryCache, threads: Threads) -> None:
    """Requests wait for its statistics to be written; its log is not read."""
    job, statistics = ran(tmp_path), RunStatistics()
    statistics.add(parse(RESULT * 3).results)
    kept, asked = outcome(archive.put(job, statistics)), outcome(archive.get(job))
    assert asked == []
    threads.all()
    assert asked == kept == [statistics.summary(encoded=True)]
    assert threads.names == ["summary", "write_statistics"]
    assert load_statistics(tmp_path, "shop", "one") == statistics.summary(encoded=True)


V02 = (
    b'{"results":7,"errors":0,"bytes":0,"latency":null,"rows":[],"other":null}',
    b'{"results":7,"errors":7,"bytes":0,"latency":{"min":0.0,"mean":0.0,"p50":0.0,"p90":0.0,'
    b'"p95":0.0,"p99":0.0,"p999":0.0,"max":0.0},"rows":[],"other":null}',
)


@pytest.mark.parametrize("stored", V02)
def test_statistics_of_an_older_agent(
    tmp_path: Path, archive: SummaryCache, threads: Threads, stored: bytes
) -> None:
    """They lack histograms and reasons, so they are rebuilt from the log once."""
    job = ran(tmp_path)
    (tmp_path / "shop" / "one" / STATS).write_bytes(stored)
    (summary,) = _outcomes(archive, threads, job)
    assert summary.results == 3
    assert summary.latency is not None
    assert summary.latency.histogram is not None
    assert [error.count for error in summary.errors_by_reason] == [3]
    assert _outcomes(archive, threads, job) == [summary]
    assert threads.names.count("rebuild") == 1


def test_the_calls_of_a_rebuilt_run(
    tmp_path: Path, archive: SummaryCache, threads: Threads
) -> None:
    """Their times are those of the timeline, their errors those of the job."""
    job = ran(tmp_path)
    job.calls.failed = 5
    job.errors = (
        ErrorSummary(method="", url="", status=0, message="refused", count=4),
        ErrorSummary(method="", url="", status=0, message="", count=2),  # of results
        ErrorSummary(method="GET", url="/", status=500, message="", count=9),  # not in the log
    )
    times = Histogram()
    times.record([1_000_000, 2_000_000, 3_000_000])
    timeline = TimelineFile((tmp_path, "shop", "one"), NOW, maybeDeferred)
    for at in range(2):
        timeline.append(Window(at=at, seconds=1, iteration=Times.of(times)))
    timeline.append(Window(at=2, seconds=1))  # and no close, as after a kill
    (summary,) = _outcomes(archive, threads, job)
    assert summary.calls.iteration is not None
    assert summary.calls.iteration.max == 0.003
    assert summary.calls.iteration.p50 == pytest.approx(0.002, rel=0.001)
    assert summary.calls.iteration.decoded().count == 6
    assert (summary.calls.service, summary.calls.schedule_lag) == (None, None)
    assert (summary.results, summary.failed_calls) == (3, 5)
    reasons = [(error.message, error.count) for error in summary.errors_by_reason]
    assert reasons == [("refused", 4), ("", 3)]


def test_one_log_at_a_time(tmp_path: Path, archive: SummaryCache, threads: Threads) -> None:
    """Rebuilds of several runs are serialized."""
    found = [outcome(archive.get(ran(tmp_path, str(n), results=n))) for n in range(3)]
    for _ in range(3):
        threads.one()
    assert threads.names.count("rebuild") == 1
    threads.all()
    assert [summary.results for (summary,) in found] == [0, 1, 2]


def test_statistics_that_cannot_be_written(
    tmp_path: Path, archive: SummaryCache, threads: Threads
) -> None:
    """They are returned all the same."""
    job = ran(tmp_path)
    (tmp_path / "shop" / "one" / STATS).symlink_to("/dev/null")
    (summary,) = _outcomes(archive, threads, job)
    assert summary.results == 3


def test_a_missing_log(tmp_path: Path, archive: SummaryCache, threads: Threads) -> None:
    """All requests fail, and a later one tries again."""
    (tmp_path / "shop" / "one").mkdir(parents=True)
    job = Job("one", JobSpec("shop", 1, 1, "b"), NOW, State.FINISHED, has_log=True)
    for _ in range(2):
        (failure,) = _outcomes(archive, threads, job)
        assert failure.check(FileNotFoundError)
    (tmp_path / "shop" / "one" / "out.log").symlink_to("/etc/passwd")
    (failure,) = _outcomes(archive, threads, job)
    assert failure.check(LogPathError)


def _outcomes(archive: SummaryCache, threads: Threads, job: Job) -> list[Any]:
    found = outcome(archive.get(job))
    threads.all()
    return found


def test_a_stop_ends_a_rebuild_between_two_blocks(
    tmp_path: Path, archive: SummaryCache, threads: Threads, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All requests fail with the reason that the agent stops."""
    blocks: list[int] = []
    read = RunLogReader.read

    def counted(reader: RunLogReader, offset: int, count: int) -> bytes:
        blocks.append(offset)
        archive.stop()
        return read(reader, offset, count)

    monkeypatch.setattr(RunLogReader, "read", counted)
    for job_id in ("one", "two"):
        (failure,) = _outcomes(archive, threads, ran(tmp_path, job_id))
        assert failure.check(OSError)
        assert "the agent stops" in failure.getErrorMessage()
    assert blocks == [0]
