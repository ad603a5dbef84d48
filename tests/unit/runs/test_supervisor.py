"""The queue's jobs, one at a time and in order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import LoggedErrors
from twisted.internet.defer import Deferred, succeed
from unit.runs.one_run import NOW

from goloagent.jobs import outcome
from goloagent.jobs.job import Cause, Job, State
from goloagent.jobs.spec import JobSpec
from goloagent.jobs.store import Store
from goloagent.runs.supervisor import Supervisor


class FakeRun:
    """A run that ends when it is told."""

    def __init__(self, job: Job, at_once: bool) -> None:
        self.job = job
        self.over: Deferred[None] = succeed(None) if at_once else Deferred()
        self.cancelled: list[Cause] = []

    def start(self) -> Deferred[None]:
        self.job.state = State.STARTING
        return self.over

    def cancel(self, cause: Cause) -> None:
        self.cancelled.append(cause)

    def end(self) -> None:
        self.job.state = State.FINISHED
        self.over.callback(None)


class Queue:
    """A store with a queue, and the runs a supervisor made of it."""

    def __init__(self, path: Path) -> None:
        self.store = Store(path)
        self.runs: list[FakeRun] = []
        self.at_once = False
        self.clearing: Deferred[None] = succeed(None)
        self.supervisor = Supervisor(self.store, self._make_run, self._end_survivors, lambda: NOW)

    def add(self, *names: str) -> None:
        """Queue jobs, telling the supervisor of each."""
        for name in names:
            self.store.add(Job(name, JobSpec(name, 1, 1, "binary"), NOW))
            self.supervisor.look()

    @property
    def ran(self) -> list[str]:
        """The jobs that were started, in order."""
        return [run.job.id for run in self.runs]

    def _make_run(self, job: Job) -> FakeRun:
        self.runs.append(FakeRun(job, self.at_once))
        return self.runs[-1]

    def _end_survivors(self, job: Job) -> Deferred[None]:
        return self.clearing


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Queue]:
    """The queue of the test."""
    queue = Queue(tmp_path / "agent.sqlite")
    yield queue
    queue.store.close()


def test_nothing_before_the_start(queue: Queue) -> None:
    """Jobs that are queued while the agent recovers wait."""
    queue.add("a")
    assert queue.ran == []
    queue.supervisor.start()
    assert queue.ran == ["a"]


def test_one_at_a_time_in_order(queue: Queue) -> None:
    """The next job starts when the last is over, and the one queued first is next."""
    queue.supervisor.start()
    queue.add("a", "b", "c")
    assert queue.ran == ["a"]
    queue.runs[0].end()
    assert queue.ran == ["a", "b"]
    queue.add("d")
    queue.runs[1].end()
    queue.runs[2].end()
    queue.runs[3].end()
    assert queue.ran == ["a", "b", "c", "d"]
    queue.add("e")
    assert queue.ran[-1] == "e"


def test_jobs_that_end_at_once(queue: Queue) -> None:
    """A whole queue of jobs that are refused at once is gone through, each once."""
    names = [f"job-{number}" for number in range(32)]
    queue.at_once = True
    queue.add(*names)
    queue.supervisor.start()
    assert queue.ran == names


def test_a_run_that_breaks(queue: Queue, logged_errors: LoggedErrors) -> None:
    """It is logged, and the next job runs."""
    queue.supervisor.start()
    queue.add("a", "b")
    queue.runs[0].over.errback(ZeroDivisionError("a bug"))
    assert queue.ran == ["a", "b"]
    assert len(logged_errors.flush(ZeroDivisionError)) == 1


def test_survivors_are_ended_first(queue: Queue) -> None:
    """The next job starts, and the agent may end, when nothing of the last one is left."""
    queue.supervisor.start()
    queue.add("a", "b", "c")
    queue.clearing = Deferred()
    queue.runs[0].end()
    assert queue.ran == ["a"]
    queue.clearing.callback(None)
    assert queue.ran == ["a", "b"]
    queue.clearing = Deferred()
    queue.runs[1].end()
    stopped = queue.supervisor.stop()
    assert not stopped.called
    queue.clearing.callback(None)
    assert stopped.called


def test_survivors_that_cannot_be_ended(queue: Queue, logged_errors: LoggedErrors) -> None:
    """It is logged, and the next job runs."""
    queue.supervisor.start()
    queue.add("a", "b")
    queue.clearing.addCallback(lambda _: 1 / 0)
    queue.runs[0].end()
    assert queue.ran == ["a", "b"]
    assert len(logged_errors.flush(ZeroDivisionError)) == 1


def test_stop_without_a_run(queue: Queue) -> None:
    """An idle supervisor has stopped at once, and starts nothing any more."""
    queue.supervisor.start()
    assert queue.supervisor.stop().called
    queue.add("a")
    assert queue.ran == []


def test_stop_waits_for_the_run(queue: Queue) -> None:
    """The running job is brought to its end, and those that wait are left for the next life."""
    queue.supervisor.start()
    queue.add("a", "b")
    stopped = queue.supervisor.stop()
    assert queue.runs[0].cancelled == [outcome.AGENT_STOPPED]
    assert not stopped.called
    queue.runs[0].end()
    assert stopped.called
    assert queue.ran == ["a"]
    assert [job.id for job in queue.store.queued()] == ["b"]


def test_stop_when_the_run_breaks(queue: Queue, logged_errors: LoggedErrors) -> None:
    """A run that breaks in its end does not keep the agent from its own."""
    queue.supervisor.start()
    queue.add("a")
    stopped = queue.supervisor.stop()
    queue.runs[0].over.errback(ZeroDivisionError("a bug"))
    assert stopped.called
    assert logged_errors.flush(ZeroDivisionError)


def test_cancelling_a_job_that_waits(queue: Queue) -> None:
    """It is over at once and never runs; the one that runs goes on."""
    queue.supervisor.start()
    queue.add("one", "two")
    two = queue.store.get("two")
    assert two is not None
    queue.supervisor.cancel(two)
    assert (two.state, two.cause, two.ended_at) == (State.CANCELLED, outcome.CANCELLED, NOW)
    assert queue.runs[0].cancelled == []
    queue.runs[0].end()
    assert queue.ran == ["one"]


def test_cancelling_the_job_that_runs(queue: Queue) -> None:
    """Its run is told, and it is over when the run says so."""
    queue.supervisor.start()
    queue.add("one")
    queue.supervisor.cancel(queue.runs[0].job)
    assert queue.runs[0].cancelled == [outcome.CANCELLED]
    assert queue.runs[0].job.state is State.STARTING


def test_a_cancel_that_cannot_be_kept(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """The job goes on waiting when the disk does not take it, and runs in its turn."""
    queue.add("one")
    [job] = queue.store.queued()

    def full(_: Job) -> None:
        raise OSError(28, "full")

    with monkeypatch.context() as patch:
        patch.setattr(queue.store, "save", full)
        with pytest.raises(OSError, match="full"):
            queue.supervisor.cancel(job)
    queue.supervisor.start()
    assert queue.ran == ["one"]


def test_a_job_of_an_earlier_life_is_left_to_the_recovery(queue: Queue) -> None:
    """To cancel what a kill left running, before it is counted, settles nothing."""
    left = Job("left", JobSpec("left", 1, 1, "binary"), NOW, state=State.RUNNING)
    queue.store.add(left)
    queue.supervisor.cancel(left)
    assert left.state is State.RUNNING
    assert queue.store.get("left") is left
