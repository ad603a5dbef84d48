"""The queue's jobs, one at a time and in order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import LoggedErrors
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from unit.runs.one_run import NOW

from goloagent.core.host_fault import HostFault
from goloagent.core.job_spec import JobSpec
from goloagent.jobs.database import Store
from goloagent.jobs.job import FailureReason, Job, State
from goloagent.runs import outcome
from goloagent.runs.scheduler import (
    FIRST_RETRY_SECONDS,
    MAX_RETRY_SECONDS,
    REAP_SECONDS,
    JobScheduler,
)

FAULT = HostFault("no-tasks", "No process can be started.")


class FakeRun:
    """A run that ends on request."""

    def __init__(self, job: Job, at_once: bool) -> None:
        self.job = job
        self.over: Deferred[None] = Deferred()
        self.at_once = at_once
        self.cancelled: list[FailureReason] = []
        self.fault: HostFault | None = None
        self.has_launched = False
        self.is_over = False

    def start(self) -> Deferred[None]:
        self.job.state = State.STARTING
        if self.at_once:
            self.end()
        return self.over

    def cancel(self, cause: FailureReason) -> None:
        self.cancelled.append(cause)

    def end(self) -> None:
        self.is_over = True
        self.job.state = State.FINISHED
        self.has_launched = True
        self.over.callback(None)

    def put_back(self, fault: HostFault | None = FAULT) -> None:
        self.is_over = True
        self.job.state, self.fault = State.QUEUED, fault
        self.over.callback(None)


class Queue:
    """A store with a queue, and the runs that the scheduler made."""

    def __init__(self, path: Path) -> None:
        self.store = Store(path)
        self.runs: list[FakeRun] = []
        self.at_once = False
        self.clearing: Deferred[None] = succeed(None)
        self.clock = Clock()
        self.full = False
        self.scheduler = JobScheduler(
            self.store, self._make_run, self._reap_leftovers, lambda: NOW, self.clock, self._save
        )

    def add(self, *names: str) -> None:
        """Queue jobs, and start the next."""
        for name in names:
            self.store.add(Job(name, JobSpec(name, 1, 1, "binary"), NOW))
            self.scheduler.start_next()

    @property
    def ran(self) -> list[str]:
        """The jobs that were started, in order."""
        return [run.job.id for run in self.runs]

    def _save(self, job: Job) -> None:
        if self.full:
            raise OSError(28, "full")
        self.store.save(job)

    def _make_run(self, job: Job) -> FakeRun:
        self.runs.append(FakeRun(job, self.at_once))
        return self.runs[-1]

    def _reap_leftovers(self, job: Job) -> Deferred[None]:
        return self.clearing


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Queue]:
    """Return an empty queue."""
    queue = Queue(tmp_path / "agent.sqlite")
    yield queue
    queue.store.close()


def test_nothing_before_the_start(queue: Queue) -> None:
    """Jobs that are queued during recovery wait."""
    queue.add("a")
    assert queue.ran == []
    queue.scheduler.start()
    assert queue.ran == ["a"]


def test_one_at_a_time_in_order(queue: Queue) -> None:
    """The first queued job starts when the previous one is over."""
    queue.scheduler.start()
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
    """A queue of jobs that end at once runs each of them once."""
    names = [f"job-{number}" for number in range(32)]
    queue.at_once = True
    queue.add(*names)
    queue.scheduler.start()
    assert queue.ran == names


def test_a_run_that_fails(queue: Queue, logged_errors: LoggedErrors) -> None:
    """It is logged, and the next job runs."""
    queue.scheduler.start()
    queue.add("a", "b")
    queue.runs[0].over.errback(ZeroDivisionError("a bug"))
    assert queue.ran == ["a", "b"]
    broken = queue.runs[0].job
    assert (broken.state, broken.cause and broken.cause.reason) == (State.FAILED, "internal-error")
    assert len(logged_errors.flush(ZeroDivisionError)) == 1


def test_leftovers_are_ended_first(queue: Queue) -> None:
    """The next job and the stop wait for the end of leftover processes."""
    queue.scheduler.start()
    queue.add("a", "b", "c")
    queue.clearing = Deferred()
    queue.runs[0].end()
    assert queue.ran == ["a"]
    queue.clearing.callback(None)
    assert queue.ran == ["a", "b"]
    queue.clearing = Deferred()
    queue.runs[1].end()
    stopped = queue.scheduler.stop()
    assert not stopped.called
    queue.clearing.callback(None)
    assert stopped.called


def test_leftovers_that_cannot_be_ended(queue: Queue, logged_errors: LoggedErrors) -> None:
    """It is logged, and the next job runs."""
    queue.scheduler.start()
    queue.add("a", "b")
    queue.clearing.addCallback(lambda _: 1 / 0)
    queue.runs[0].end()
    assert queue.ran == ["a", "b"]
    assert len(logged_errors.flush(ZeroDivisionError)) == 1


def test_stop_without_a_run(queue: Queue) -> None:
    """An idle scheduler stops at once, and starts no job."""
    queue.scheduler.start()
    assert queue.scheduler.stop().called
    queue.add("a")
    assert queue.ran == []


def test_stop_waits_for_the_run(queue: Queue) -> None:
    """The running job is ended, and queued jobs stay queued."""
    queue.scheduler.start()
    queue.add("a", "b")
    stopped = queue.scheduler.stop()
    assert queue.runs[0].cancelled == [outcome.AGENT_STOPPED]
    assert not stopped.called
    queue.runs[0].end()
    assert stopped.called
    assert queue.ran == ["a"]
    assert [job.id for job in queue.store.queued()] == ["b"]


def test_stop_when_the_run_fails(queue: Queue, logged_errors: LoggedErrors) -> None:
    """A run that fails in its end does not block the stop."""
    queue.scheduler.start()
    queue.add("a")
    stopped = queue.scheduler.stop()
    queue.runs[0].over.errback(ZeroDivisionError("a bug"))
    assert stopped.called
    assert logged_errors.flush(ZeroDivisionError)


def test_cancel_a_queued_job(queue: Queue) -> None:
    """It is over at once and never runs; the running job continues."""
    queue.scheduler.start()
    queue.add("one", "two")
    two = queue.store.get("two")
    assert two is not None
    queue.scheduler.cancel(two)
    assert (two.state, two.cause, two.ended_at) == (State.CANCELLED, outcome.CANCELLED, NOW)
    assert queue.runs[0].cancelled == []
    queue.runs[0].end()
    assert queue.ran == ["one"]


def test_cancel_the_running_job(queue: Queue) -> None:
    """The run is cancelled, and the job is over when the run is."""
    queue.scheduler.start()
    queue.add("one")
    queue.scheduler.cancel(queue.runs[0].job)
    assert queue.runs[0].cancelled == [outcome.CANCELLED]
    assert queue.runs[0].job.state is State.STARTING


def test_a_cancel_that_cannot_be_saved(queue: Queue) -> None:
    """The job is over at once, and the caller learns that it is not saved."""
    queue.add("one")
    [job] = queue.store.queued()
    queue.full = True
    assert queue.scheduler.cancel(job) is False
    assert job.state is State.CANCELLED
    queue.scheduler.start()
    assert queue.ran == []


def test_recovery_ends_interrupted_jobs(queue: Queue) -> None:
    """A cancel before recovery changes nothing."""
    left = Job("left", JobSpec("left", 1, 1, "binary"), NOW, state=State.RUNNING)
    queue.store.add(left)
    queue.scheduler.cancel(left)
    assert left.state is State.RUNNING
    assert queue.store.get("left") is left


def test_cancel_a_job_without_a_run(queue: Queue) -> None:
    """A cancel ends it, because there is no run to end it."""
    queue.scheduler.start()
    left = Job("left", JobSpec("left", 1, 1, "binary"), NOW, state=State.STOPPING)
    queue.store.add(left)
    assert queue.scheduler.cancel(left)
    assert (left.state, left.cause) == (State.CANCELLED, outcome.CANCELLED)


# The machine's fault.


def test_a_fault_of_the_host_pauses_the_queue(queue: Queue) -> None:
    """The first job is tried again at doubling intervals, and no job fails."""
    queue.scheduler.start()
    queue.add("a", "b")
    delay = FIRST_RETRY_SECONDS
    for attempt in range(1, 10):
        queue.runs[-1].put_back()
        assert queue.scheduler.fault == FAULT
        queue.add(f"another {attempt}")
        queue.clock.advance(delay - 0.01)
        assert queue.ran == ["a"] * attempt
        queue.clock.advance(0.01)
        assert queue.ran == ["a"] * (attempt + 1)
        delay = min(2 * delay, MAX_RETRY_SECONDS)
    assert queue.scheduler.fault == FAULT
    queue.runs[-1].has_launched = True
    assert queue.scheduler.fault is None
    queue.runs[-1].end()
    assert queue.ran[-1] == "b"
    queue.runs[-1].put_back()
    queue.clock.advance(FIRST_RETRY_SECONDS)
    assert queue.ran[-2:] == ["b", "b"]


def test_a_cancel_while_the_queue_is_paused(queue: Queue) -> None:
    """The job is over and the next one is tried at once; without a job there is no fault."""
    queue.scheduler.start()
    queue.add("a", "b")
    queue.runs[0].put_back()
    [first, second] = queue.store.queued()
    assert queue.scheduler.cancel(first)
    assert first.state is State.CANCELLED
    assert queue.ran == ["a", "b"]
    queue.runs[1].put_back()
    queue.scheduler.cancel(second)
    assert queue.scheduler.fault is None
    assert queue.clock.getDelayedCalls() == []


def test_a_cancel_while_a_requeued_job_is_cleaned_up(queue: Queue) -> None:
    """The job is cancelled though its run is over, and does not run again."""
    queue.scheduler.start()
    queue.add("a", "b")
    queue.clearing = Deferred()
    queue.runs[0].put_back()
    [first, second] = queue.store.queued()
    assert queue.scheduler.cancel(first)
    assert (first.state, first.cause) == (State.CANCELLED, outcome.CANCELLED)
    queue.clearing.callback(None)
    queue.clock.advance(FIRST_RETRY_SECONDS)
    assert queue.ran == ["a", "b"]
    assert second.state is State.STARTING


def test_a_cancel_of_a_later_job_while_the_queue_is_paused(queue: Queue) -> None:
    """The pause continues."""
    queue.scheduler.start()
    queue.add("a", "b")
    queue.runs[0].put_back()
    [_, second] = queue.store.queued()
    queue.scheduler.cancel(second)
    assert (queue.ran, queue.scheduler.fault) == (["a"], FAULT)


def test_stop_while_the_queue_is_paused(queue: Queue) -> None:
    """The agent stops at once, and all jobs stay queued."""
    queue.scheduler.start()
    queue.add("a", "b")
    queue.runs[0].put_back()
    assert queue.scheduler.stop().called
    assert queue.clock.getDelayedCalls() == []
    assert [job.id for job in queue.store.queued()] == ["a", "b"]


def test_a_job_requeued_by_the_stop(queue: Queue) -> None:
    """It is queued, and there is no fault of the host."""
    queue.scheduler.start()
    queue.add("a")
    stopped = queue.scheduler.stop()
    queue.runs[0].put_back(fault=None)
    assert stopped.called
    assert queue.scheduler.fault is None
    assert queue.ran == ["a"]


def test_leftovers_that_never_end(queue: Queue, logged_errors: LoggedErrors) -> None:
    """The next job starts after the timeout."""
    queue.scheduler.start()
    queue.add("a", "b")
    queue.clearing = Deferred()
    queue.runs[0].end()
    queue.clock.advance(REAP_SECONDS)
    assert queue.ran == ["a", "b"]
    assert len(logged_errors.flush()) == 1


@pytest.mark.parametrize("what", ["_make_run", "_reap"])
def test_the_queue_continues_after_errors(
    queue: Queue, logged_errors: LoggedErrors, what: str
) -> None:
    """The queue continues after an error in creating a run or ending its leftovers."""

    def broken(job: Job) -> None:
        raise RuntimeError("can't start new thread")

    usual = getattr(queue.scheduler, what)
    setattr(queue.scheduler, what, broken)
    queue.at_once = True
    queue.scheduler.start()
    queue.add("a")
    assert {job.id for job in queue.store.queued()} == set()
    setattr(queue.scheduler, what, usual)
    queue.add("b")
    assert queue.ran[-1] == "b"
    assert logged_errors.flush(RuntimeError)
