"""What becomes of the jobs of the agent's earlier life."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred, maybeDeferred
from twisted.python.failure import Failure
from unit.runs.one_run import NOW, RESULT

from goloagent.core.stats.summary import Summary
from goloagent.jobs.database import Store
from goloagent.jobs.job import Job, State
from goloagent.jobs.spec import JobSpec
from goloagent.runs.recovery import Recovery
from goloagent.wal.run_directory import LogPathError
from goloagent.wal.run_log import RunLogReader, RunLogWriter, open_reader, read_stderr_tail
from goloagent.wal.stats_cache import rebuild


class Life:
    """An agent's store and logs, and what a recovery hands on."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.store = Store(root / "agent.sqlite")
        self.handed_on: list[tuple[str, str]] = []
        self.opened: list[RunLogReader] = []
        self.notices: list[str] = []
        self.summaries: dict[str, Summary] = {}
        self.statistics_error: Exception | None = None

    def add(self, name: str, state: State, printed: bytes | None = None) -> Job:
        """Leave a job behind, with a log when it printed something."""
        job = Job(name, JobSpec(name, 1, 1, "binary"), NOW, has_log=printed is not None)
        self.store.add(job)
        job.state = state
        if printed is not None:
            log = RunLogWriter.create(self.root, name, name)
            log.append_stdout(printed)
            log.append_stderr(b"one\ntwo\n")
            log.close()
        self.store.save(job)
        return job

    def begin(self, job: Job) -> None:
        self.handed_on.append(("begin", job.id))

    def on_appended(self, job: Job) -> None:
        raise AssertionError("a recovered log does not grow")

    def end(self, job: Job) -> None:
        self.handed_on.append(("end", job.id))

    def recover(self, open_log: Callable[[Job], RunLogReader] | None = None) -> None:
        """Die, live again and recover."""
        assert self.recovering(open_log=open_log).called

    def recovering(
        self,
        in_thread: Callable[..., Deferred[Any]] = maybeDeferred,
        open_log: Callable[[Job], RunLogReader] | None = None,
    ) -> Deferred[None]:
        """Die, live again and begin to recover."""
        self.store.close()
        self.store = Store(self.root / "agent.sqlite")
        recovery = Recovery(
            self.store,
            open_log or self._open,
            self,
            self.store.save,
            lambda: NOW,
            in_thread,
            self.notices.append,
            self._keep_statistics,
            self.read_stderr,
        )
        return ensureDeferred(recovery.recover())

    def read_stderr(self, job: Job) -> str:
        return read_stderr_tail(self.root, job.spec.name, job.id)

    def _open(self, job: Job) -> RunLogReader:
        self.opened.append(open_reader(self.root, job.spec.name, job.id))
        return self.opened[-1]

    def _keep_statistics(self, job: Job, summary: Summary) -> None:
        if self.statistics_error is not None:
            raise self.statistics_error
        self.summaries[job.id] = summary

    def job(self, job_id: str) -> Job:
        """Return a job as the store has it."""
        job = self.store.get(job_id)
        assert job is not None
        return job


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Life]:
    """The agent's life of the test."""
    life = Life(tmp_path)
    yield life
    life.store.close()


@pytest.mark.parametrize("state", [State.STARTING, State.RUNNING, State.STOPPING])
def test_a_job_that_was_running(life: Life, state: State) -> None:
    """It is interrupted, its lines are counted anew, and its results go on to delivery."""
    life.add("one", state, RESULT * 3 + b"no result\n" + RESULT[:-1])
    life.recover()
    job = life.job("one")
    assert job.state is State.INTERRUPTED
    assert job.cause is not None
    assert (job.cause.reason, job.ended_at) == ("agent-restart", NOW)
    assert (job.results.read, job.results.invalid, job.results.pending) == (5, 1, 4)
    assert job.stderr_tail == "one\ntwo"
    assert life.handed_on == [("begin", "one"), ("end", "one")]
    with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
        life.opened[0].size()


def test_what_was_delivered_stays_delivered(life: Life) -> None:
    """Counting anew does not touch what the collector has taken."""
    job = life.add("one", State.RUNNING, RESULT * 3)
    job.checkpoint.delivered, job.checkpoint.committed = 2, 2 * len(RESULT)
    life.store.save(job)
    life.recover()
    results = life.job("one").results
    assert (results.read, results.delivered, results.pending) == (3, 2, 1)
    assert results.committed == 2 * len(RESULT)


def test_a_job_without_results(life: Life) -> None:
    """One that printed nothing, or had no log yet, is settled at once."""
    life.add("silent", State.RUNNING, b"")
    life.add("unlogged", State.STARTING)
    life.recover()
    assert life.job("silent").fully_delivered
    assert life.job("unlogged").fully_delivered
    assert life.handed_on == []


def test_a_job_that_is_over(life: Life) -> None:
    """Its end stands; only what is pending goes on to delivery."""
    job = life.add("one", State.FINISHED, RESULT)
    job.lines.read = 1
    life.store.save(job)
    life.recover()
    assert life.job("one").state is State.FINISHED
    assert life.handed_on == [("begin", "one"), ("end", "one")]


def test_the_queue_stays(life: Life) -> None:
    """Jobs that wait go on waiting, in their order, and none that ran waits again."""
    life.add("ran", State.RUNNING, RESULT)
    life.add("first", State.QUEUED)
    life.add("second", State.QUEUED)
    life.recover()
    assert [job.id for job in life.store.queued()] == ["first", "second"]


def test_a_second_recovery(life: Life) -> None:
    """An agent that dies again has lost and changed nothing."""
    life.add("one", State.RUNNING, RESULT)
    life.recover()
    first = life.job("one")
    life.recover()
    assert life.job("one") == first
    assert life.handed_on == [("begin", "one"), ("end", "one")] * 2


@pytest.mark.parametrize(
    "error", [FileNotFoundError(2, "gone"), LogPathError("out.log is a link")], ids=["gone", "link"]
)
def test_a_log_that_cannot_be_read(life: Life, error: Exception) -> None:
    """It is told, and neither prevents the start nor costs another job anything."""
    life.add("broken", State.RUNNING, RESULT)
    life.add("good", State.RUNNING, RESULT)

    def open_log(job: Job) -> RunLogReader:
        if job.id == "broken":
            raise error
        return open_reader(life.root, job.spec.name, job.id)

    life.recover(open_log)
    (notice,) = life.notices
    assert "job broken" in notice
    assert life.job("broken").state is State.INTERRUPTED
    assert life.handed_on == [("begin", "good"), ("end", "good")]


def test_r9_a_log_cut_behind_what_was_counted(life: Life) -> None:
    """What a power cut took of a log is not pending for ever, and the loss is told."""
    job = life.add("one", State.FINISHED, RESULT * 3)
    job.lines.read, job.checkpoint.delivered, job.checkpoint.committed = 5, 1, len(RESULT)
    life.store.save(job)
    life.recover()
    results = life.job("one").results
    assert (results.read, results.delivered, results.pending) == (3, 1, 2)
    assert life.notices == ["the log of job one is damaged: 2 results in it are lost"]


def test_r9_a_log_cut_before_what_was_delivered(life: Life) -> None:
    """An offset that outlived its bytes leaves nothing pending, and an account that balances."""
    job = life.add("one", State.RUNNING, RESULT + b"chatter\n")
    job.lines.read, job.checkpoint.delivered, job.checkpoint.committed = 4, 3, 4 * len(RESULT)
    life.store.save(job)
    life.recover()
    results = life.job("one").results
    assert (results.read, results.invalid, results.valid) == (4, 1, 3)
    assert (results.delivered, results.pending) == (3, 0)
    assert life.job("one").fully_delivered
    assert life.handed_on == []


def test_r10_zeros_in_a_log(life: Life) -> None:
    """A block that the disk lost is an invalid line, and costs only what was in it."""
    damaged = RESULT + b"\0" * len(RESULT) + RESULT * 2
    job = life.add("one", State.FINISHED, damaged)
    job.lines.read = 4
    life.store.save(job)
    life.recover()
    results = life.job("one").results
    assert (results.read, results.invalid, results.pending) == (3, 1, 2)
    assert len(life.notices) == 1


def test_a_missing_log_is_looked_for_again(life: Life) -> None:
    """A disk that was not mounted costs nothing: the start that finds the log sends it."""
    job = life.add("one", State.FINISHED, RESULT)
    job.lines.read = 1
    life.store.save(job)
    (life.root / "one").rename(life.root / "elsewhere")
    life.recover()
    assert life.handed_on == []
    assert "1 results stay pending" in life.notices[0]
    (life.root / "elsewhere").rename(life.root / "one")
    life.recover()
    assert life.handed_on == [("begin", "one"), ("end", "one")]


def test_a_stderr_that_cannot_be_read(life: Life) -> None:
    """It is as if there were none; the results count."""
    life.add("one", State.RUNNING, RESULT)
    (life.root / "one" / "one" / "err.log").unlink()
    life.recover()
    assert (life.job("one").state, life.job("one").stderr_tail) == (State.INTERRUPTED, "")
    assert life.handed_on == [("begin", "one"), ("end", "one")]


def test_a_stderr_that_is_known_is_not_read_again(life: Life) -> None:
    """What the run saw last stands, whatever became of the file."""
    job = life.add("one", State.FINISHED, RESULT)
    job.lines.read, job.stderr_tail = 1, "what the run saw"
    life.store.save(job)
    life.recover()
    assert life.job("one").stderr_tail == "what the run saw"


def test_adopted_runs(life: Life) -> None:
    """Runs that no row tells of are counted, kept and handed on."""
    log = RunLogWriter.create(life.root, "name", "found")
    log.append_stdout(RESULT * 2)
    log.close()
    found = Job("found", JobSpec("name", 0, 0, ""), NOW, State.INTERRUPTED, has_log=True)
    recovery = Recovery(
        life.store,
        life._open,
        life,
        life.store.save,
        lambda: NOW,
        maybeDeferred,
        print,
        life._keep_statistics,
        life.read_stderr,
    )
    assert ensureDeferred(recovery.import_runs([found])).called
    assert life.job("found").results.pending == 2
    assert life.handed_on == [("begin", "found"), ("end", "found")]


def test_the_statistics_of_an_interrupted_job(life: Life) -> None:
    """They are made from its whole log, delivered or not; those of one that was over stay."""
    printed = RESULT * 3 + b"chatter\n" + RESULT[:-1]
    job = life.add("one", State.RUNNING, printed)
    job.checkpoint.delivered, job.checkpoint.committed = 2, 2 * len(RESULT)
    life.store.save(job)
    life.add("over", State.FINISHED, RESULT)
    life.recover()
    assert list(life.summaries) == ["one"]
    assert life.summaries["one"].results == 4
    log = life._open(job)
    assert life.summaries["one"] == rebuild(log.read).summary()
    log.close()


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), LogPathError("a link")])
def test_statistics_that_cannot_be_kept(life: Life, error: Exception) -> None:
    """They cost the job nothing."""
    life.add("one", State.RUNNING, RESULT)
    life.statistics_error = error
    life.recover()
    assert life.job("one").state is State.INTERRUPTED
    assert life.job("one").results.pending == 1
    assert life.handed_on == [("begin", "one"), ("end", "one")]


def test_many_jobs_are_taken_up_a_few_at_a_time(life: Life) -> None:
    """While the disk is asked for one log it is asked for some more, and never for all."""
    for number in range(20):
        life.add(f"job-{number}", State.RUNNING, RESULT)
    asked: list[tuple[Callable[[], Any], Deferred[Any]]] = []

    def in_thread(function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        asked.append((partial(function, *arguments), Deferred()))
        return asked[-1][1]

    recovered, most = life.recovering(in_thread), 0
    while asked:
        most = max(most, len(asked))
        function, answer = asked.pop()
        answer.callback(function())
    assert recovered.called
    assert most == 8
    assert len(life.handed_on) == 2 * 20


def test_a_stop_leaves_the_rest_to_the_next_life(life: Life) -> None:
    """A recovery that is cancelled ends at once, says nothing, and changes no job."""
    for number in range(20):
        life.add(f"job-{number}", State.RUNNING, RESULT)
    cancelled: list[Failure] = []
    recovering = life.recovering(lambda *_: Deferred()).addErrback(cancelled.append)
    recovering.cancel()
    assert len(cancelled) == 1
    assert cancelled[0].check(CancelledError)
    assert (life.handed_on, life.notices) == ([], [])
    assert life.job("job-0").state is State.RUNNING
    life.recover()
    assert len(life.handed_on) == 2 * 20
