"""Recovery of the jobs of the previous process."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred, maybeDeferred
from twisted.python.failure import Failure
from unit.runs.one_run import NOW, RESULT

from goloagent.core.job_spec import JobSpec
from goloagent.core.output_schemes import SECOND
from goloagent.core.spans import Span
from goloagent.core.stats.cpu_usage import CpuUsage, RunCpu
from goloagent.core.stats.run_stats import RunStatistics
from goloagent.core.stats.summary import ErrorSummary, Summary
from goloagent.core.timeline import Window
from goloagent.jobs.database import Store
from goloagent.jobs.job import CallCounts, Checkpoint, Job, State
from goloagent.results.parser import parse
from goloagent.runs.recovery import Recovery
from goloagent.wal.run_directory import LogPathError
from goloagent.wal.run_files import RunFiles
from goloagent.wal.run_log import RunLogReader, RunLogWriter, open_reader, read_stderr_tail
from goloagent.wal.stats_cache import rebuild
from goloagent.wal.timeline_file import TimelineFile
from goloagent.wal.timeline_thinning import TEMPORARY


class Agent:
    """The store and logs of an agent, and the output of its recovery."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.store = Store(root / "agent.sqlite")
        self.delivery_events: list[tuple[str, str]] = []
        self.opened: list[RunLogReader] = []
        self.notices: list[str] = []
        self.summaries: dict[str, Summary] = {}
        self.statistics_error: Exception | None = None

    def add(self, name: str, state: State, printed: bytes | None = None) -> Job:
        """Add a job, with a log if it printed something."""
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

    def assign(self, job: Job) -> None:
        job.outputs = {"second": Checkpoint()}

    def begin(self, job: Job) -> None:
        self.delivery_events.append(("begin", job.id))

    def on_appended(self, job: Job) -> None:
        raise AssertionError("a recovered log does not grow")

    def end(self, job: Job) -> None:
        self.delivery_events.append(("end", job.id))

    def recover(self, open_log: Callable[[Job], RunLogReader] | None = None) -> None:
        """Restart and recover."""
        assert self.recovering(open_log=open_log).called

    def recovering(
        self,
        in_thread: Callable[..., Deferred[Any]] = maybeDeferred,
        open_log: Callable[[Job], RunLogReader] | None = None,
    ) -> Deferred[None]:
        """Restart and begin to recover."""
        self.store.close()
        self.store = Store(self.root / "agent.sqlite")
        return ensureDeferred(self.recovery(in_thread, open_log).recover())

    def recovery(
        self,
        in_thread: Callable[..., Deferred[Any]] = maybeDeferred,
        open_log: Callable[[Job], RunLogReader] | None = None,
    ) -> Recovery:
        """Return a recovery of the store."""
        return Recovery(
            self.store,
            open_log or self._open,
            self,
            self.store.save,
            lambda: NOW,
            in_thread,
            self.notices.append,
            self._keep_statistics,
            self.read_stderr,
            read_timeline=RunFiles(self.root).timeline_totals,
        )

    def read_stderr(self, job: Job) -> str:
        return read_stderr_tail(self.root, job.spec.name, job.id)

    def _open(self, job: Job) -> RunLogReader:
        self.opened.append(open_reader(self.root, job.spec.name, job.id))
        return self.opened[-1]

    def _keep_statistics(self, job: Job, statistics: RunStatistics) -> None:
        if self.statistics_error is not None:
            raise self.statistics_error
        self.summaries[job.id] = statistics.summary()

    def job(self, job_id: str) -> Job:
        """Return a job of the store."""
        job = self.store.get(job_id)
        assert job is not None
        return job


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    """Return an agent with an empty store."""
    agent = Agent(tmp_path)
    yield agent
    agent.store.close()


def test_the_calls_of_a_job_that_was_running(agent: Agent) -> None:
    """They are those of its timeline, up to the last second before the kill."""
    job = agent.add("one", State.RUNNING, RESULT)
    timeline = TimelineFile((agent.root, "one", "one"), NOW, lambda *_: Deferred())
    timeline.append(
        Window(0.0, 1.0, started=5, dropped=1, succeeded=2, failed=1, limited=("ports",))
    )
    timeline.append(Window(1.0, 1.002, started=2, succeeded=3, limited=("ports",)))
    timeline.append(Window(2.002, 0.998, started=1))
    cut_off = agent.root / "one" / "one" / TEMPORARY
    cut_off.touch()
    agent.recover()
    assert not cut_off.exists()
    job = agent.job("one")
    assert job.calls == CallCounts(started=8, ok=5, failed=1, dropped=1)
    assert job.limited == (Span("ports", 0.0, 2.002),)
    timeline.close()


@pytest.mark.parametrize(("state", "is_known"), [(State.RUNNING, False), (State.FINISHED, True)])
def test_the_cpu_usage_of_a_job(agent: Agent, state: State, is_known: bool) -> None:
    """That of a job that was running is only of the time until it was saved."""
    job = agent.add("one", state, RESULT)
    job.cpu = RunCpu(CpuUsage(0.1, 0.2), CpuUsage(0.9, 1.0))
    agent.store.save(job)
    agent.recover()
    assert (agent.job("one").cpu is not None) is is_known


@pytest.mark.parametrize("state", [State.STARTING, State.RUNNING, State.STOPPING])
def test_a_job_that_was_running(agent: Agent, state: State) -> None:
    """It is interrupted, its lines are counted again, and its results are delivered."""
    agent.add("one", state, RESULT * 3 + b"no result\n" + RESULT[:-1])
    agent.recover()
    job = agent.job("one")
    assert job.state is State.INTERRUPTED
    assert job.cause is not None
    assert (job.cause.reason, job.ended_at) == ("agent-restart", NOW)
    assert (job.results.read, job.results.invalid, job.results.pending) == (5, 1, 4)
    assert job.stderr_tail == "one\ntwo"
    assert agent.delivery_events == [("begin", "one"), ("end", "one")]
    with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
        agent.opened[0].size()


def test_what_was_delivered_stays_delivered(agent: Agent) -> None:
    """Counting again keeps the delivered results."""
    job = agent.add("one", State.RUNNING, RESULT * 3)
    job.checkpoint.delivered, job.checkpoint.committed = 2, 2 * len(RESULT)
    agent.store.save(job)
    agent.recover()
    results = agent.job("one").results
    assert (results.read, results.delivered, results.pending) == (3, 2, 1)
    assert results.committed == 2 * len(RESULT)


def test_a_job_without_results(agent: Agent) -> None:
    """Without output or log it is settled at once."""
    agent.add("silent", State.RUNNING, b"")
    agent.add("unlogged", State.STARTING)
    agent.recover()
    assert agent.job("silent").fully_delivered
    assert agent.job("unlogged").fully_delivered
    assert agent.delivery_events == []


def test_the_queue_stays(agent: Agent) -> None:
    """Queued jobs stay in order, and no job that ran is queued."""
    agent.add("ran", State.RUNNING, RESULT)
    agent.add("first", State.QUEUED)
    agent.add("second", State.QUEUED)
    agent.recover()
    assert [job.id for job in agent.store.queued()] == ["first", "second"]


def test_a_second_recovery(agent: Agent) -> None:
    """A second restart changes nothing."""
    agent.add("one", State.RUNNING, RESULT)
    agent.recover()
    first = agent.job("one")
    agent.recover()
    assert agent.job("one") == first
    assert agent.delivery_events == [("begin", "one"), ("end", "one")] * 2


@pytest.mark.parametrize(
    "error", [FileNotFoundError(2, "gone"), LogPathError("out.log is a link")], ids=["gone", "link"]
)
def test_a_log_that_cannot_be_read(agent: Agent, error: Exception) -> None:
    """It is a notice, and affects no other job."""
    agent.add("broken", State.RUNNING, RESULT)
    agent.add("good", State.RUNNING, RESULT)

    def open_log(job: Job) -> RunLogReader:
        if job.id == "broken":
            raise error
        return open_reader(agent.root, job.spec.name, job.id)

    agent.recover(open_log)
    (notice,) = agent.notices
    assert "job broken" in notice
    assert agent.job("broken").state is State.INTERRUPTED
    assert agent.delivery_events == [("begin", "good"), ("end", "good")]


def test_r9_a_log_cut_before_the_counted_end(agent: Agent) -> None:
    """Results lost by a power cut are not pending, and the loss is a notice."""
    job = agent.add("one", State.FINISHED, RESULT * 3)
    job.lines.read, job.checkpoint.delivered, job.checkpoint.committed = 5, 1, len(RESULT)
    agent.store.save(job)
    agent.recover()
    results = agent.job("one").results
    assert (results.read, results.delivered, results.pending) == (3, 1, 2)
    assert agent.notices == [
        "the log of job one has 2 results fewer than were counted; they are lost"
    ]


def test_r9_a_log_cut_before_what_was_delivered(agent: Agent) -> None:
    """An offset behind the end leaves no result pending, and the counts add up."""
    job = agent.add("one", State.RUNNING, RESULT + b"chatter\n")
    job.lines.read, job.lines.invalid = 5, 1
    job.checkpoint.delivered, job.checkpoint.committed = 3, 4 * len(RESULT)
    agent.store.save(job)
    agent.recover()
    results = agent.job("one").results
    assert (results.read, results.invalid, results.valid) == (4, 1, 3)
    assert (results.delivered, results.pending) == (3, 0)
    assert agent.job("one").fully_delivered
    assert agent.delivery_events == []


def test_r10_zeros_in_a_log(agent: Agent) -> None:
    """A block of zeros is an invalid line and affects no other line."""
    damaged = RESULT + b"\0" * len(RESULT) + RESULT * 2
    job = agent.add("one", State.FINISHED, damaged)
    job.lines.read = 4
    agent.store.save(job)
    agent.recover()
    results = agent.job("one").results
    assert (results.read, results.invalid, results.pending) == (3, 1, 2)
    assert len(agent.notices) == 1


def test_results_of_a_version_with_another_rule(agent: Agent) -> None:
    """A delivered line that is no result now is counted once, and a pending one is invalid."""
    line = RESULT.replace(b"timestamp", b"Timestamp")
    job = agent.add("one", State.FINISHED, b"chatter\n" + line * 3)
    job.lines.read, job.lines.invalid = 4, 1
    job.checkpoint.delivered, job.checkpoint.committed = 2, len(b"chatter\n" + line * 2)
    agent.store.save(job)
    agent.recover()
    results = agent.job("one").results
    assert (results.read, results.invalid, results.valid) == (4, 2, 2)
    assert (results.delivered, results.pending) == (2, 0)
    assert len(agent.notices) == 1


def test_a_missing_log_is_read_by_a_later_start(agent: Agent) -> None:
    """If the disk was not mounted, the start that finds the log delivers its results."""
    job = agent.add("one", State.FINISHED, RESULT)
    job.lines.read = 1
    job.checkpoint.delivered = 1
    job.outputs = {"metrics": Checkpoint(unit=SECOND)}
    agent.store.save(job)
    (agent.root / "one").rename(agent.root / "elsewhere")
    agent.recover()
    assert agent.delivery_events == []
    assert "1 results stay pending" in agent.notices[0]
    (agent.root / "elsewhere").rename(agent.root / "one")
    agent.recover()
    assert agent.delivery_events == [("begin", "one"), ("end", "one")]


def test_a_stderr_that_cannot_be_read(agent: Agent) -> None:
    """It counts as empty; the results are delivered."""
    agent.add("one", State.RUNNING, RESULT)
    (agent.root / "one" / "one" / "err.log").unlink()
    agent.recover()
    assert (agent.job("one").state, agent.job("one").stderr_tail) == (State.INTERRUPTED, "")
    assert agent.delivery_events == [("begin", "one"), ("end", "one")]


def test_a_known_stderr_is_not_read_again(agent: Agent) -> None:
    """The end that the run has read is kept."""
    job = agent.add("one", State.FINISHED, RESULT)
    job.lines.read, job.stderr_tail = 1, "the end of stderr"
    agent.store.save(job)
    agent.recover()
    assert agent.job("one").stderr_tail == "the end of stderr"


def test_imported_runs(agent: Agent) -> None:
    """Runs without a row are counted, saved and delivered."""
    log = RunLogWriter.create(agent.root, "name", "found")
    log.append_stdout(RESULT * 2)
    log.close()
    found = Job("found", JobSpec("name", 0, 0, ""), NOW, State.INTERRUPTED, has_log=True)
    recovery = agent.recovery()
    assert ensureDeferred(recovery.import_runs([found])).called
    assert agent.job("found").results.pending == 2
    assert agent.job("found").account("second").pending == 2, "it gets all outputs"
    assert agent.delivery_events == [("begin", "found"), ("end", "found")]


def test_the_statistics_of_an_interrupted_job(agent: Agent) -> None:
    """They are computed from its whole log; those of a job that was over are kept."""
    printed = RESULT * 3 + b"chatter\n" + RESULT[:-1]
    job = agent.add("one", State.RUNNING, printed)
    job.checkpoint.delivered, job.checkpoint.committed = 2, 2 * len(RESULT)
    agent.store.save(job)
    agent.add("over", State.FINISHED, RESULT)
    agent.recover()
    assert list(agent.summaries) == ["one"]
    assert agent.summaries["one"].results == 4
    log = agent._open(job)
    assert agent.summaries["one"] == rebuild(log.read).summary()
    log.close()


def test_the_errors_of_an_interrupted_job(agent: Agent) -> None:
    """Those of results are counted again, and those of calls stay as they were saved."""
    job = agent.add("one", State.RUNNING, RESULT * 3)  # without a status
    call = ErrorSummary(method="", url="", status=0, message="refused", count=2)
    statistics = RunStatistics()
    statistics.add(parse(RESULT).results)
    (earlier,) = statistics.top_errors(10)
    job.errors = (call, earlier)
    agent.store.save(job)
    agent.recover()
    assert agent.job("one").errors == (replace(earlier, count=3), call)


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), LogPathError("a link")])
def test_statistics_that_cannot_be_stored(agent: Agent, error: Exception) -> None:
    """The job is recovered without them."""
    agent.add("one", State.RUNNING, RESULT)
    agent.statistics_error = error
    agent.recover()
    assert agent.job("one").state is State.INTERRUPTED
    assert agent.job("one").results.pending == 1
    assert agent.delivery_events == [("begin", "one"), ("end", "one")]


def test_a_few_jobs_are_recovered_concurrently(agent: Agent) -> None:
    """At most eight jobs are read at the same time."""
    for number in range(20):
        agent.add(f"job-{number}", State.RUNNING, RESULT)
    asked: list[tuple[Callable[[], Any], Deferred[Any]]] = []

    def in_thread(function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        asked.append((partial(function, *arguments), Deferred()))
        return asked[-1][1]

    recovered, most = agent.recovering(in_thread), 0
    while asked:
        most = max(most, len(asked))
        function, answer = asked.pop()
        answer.callback(function())
    assert recovered.called
    assert most == 8
    assert len(agent.delivery_events) == 2 * 20


def test_a_stop_leaves_the_rest_to_the_next_start(agent: Agent) -> None:
    """A cancelled recovery ends at once without a notice or a change."""
    for number in range(20):
        agent.add(f"job-{number}", State.RUNNING, RESULT)
    cancelled: list[Failure] = []
    recovering = agent.recovering(lambda *_: Deferred()).addErrback(cancelled.append)
    recovering.cancel()
    assert len(cancelled) == 1
    assert cancelled[0].check(CancelledError)
    assert (agent.delivery_events, agent.notices) == ([], [])
    assert agent.job("job-0").state is State.RUNNING
    agent.recover()
    assert len(agent.delivery_events) == 2 * 20
