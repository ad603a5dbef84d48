"""Periodic tasks: they survive exceptions, never overlap, and report their faults."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from conftest import LoggedErrors
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock

from goloagent.concurrency.periodic import Periodic, Tasks
from goloagent.host.health import INTERNAL_ERROR, HealthState
from goloagent.host.systemd import SystemdNotifier


class Work:
    """Work that the test controls; `times` are those of its calls."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.times: list[float] = []
        self.do: Callable[[], Any] = lambda: None

    def __call__(self) -> Any:
        self.times.append(self.clock.seconds())
        return self.do()


@pytest.fixture
def clock() -> Clock:
    """Return a clock at 0."""
    return Clock()


@pytest.fixture
def work(clock: Clock) -> Work:
    """Return work that succeeds."""
    return Work(clock)


def broken() -> None:
    """Raise."""
    raise ZeroDivisionError("broken.")


async def broken_later() -> None:
    """Raise in a coroutine."""
    raise ZeroDivisionError("broken.")


@pytest.mark.parametrize("how", [broken, broken_later, lambda: fail(ZeroDivisionError("broken."))])
def test_an_exception_is_logged_and_the_task_runs_again(
    clock: Clock, work: Work, logged_errors: LoggedErrors, how: Callable[[], Any]
) -> None:
    """The next call is on time, and the fault lasts until a call succeeds."""
    task = Periodic(clock, 1.0, "task", work)
    work.do = how
    task.start()
    clock.pump([1.0] * 3)
    assert work.times == [1.0, 2.0, 3.0]
    assert task.fault == ("The task task has failed 3 times in a row: ZeroDivisionError: broken.")
    assert len(logged_errors.flush(ZeroDivisionError)) == 1
    work.do = lambda: None
    clock.advance(1.0)
    assert task.fault is None
    work.do = how
    clock.advance(1.0)
    assert task.fault is not None
    assert len(logged_errors.flush(ZeroDivisionError)) == 1
    assert not task.ended
    task.stop()


def test_failures_are_logged_at_powers_of_ten(
    clock: Clock, work: Work, logged_errors: LoggedErrors
) -> None:
    """A thousand failures are four log lines."""
    task = Periodic(clock, 1.0, "task", work)
    work.do = broken
    task.start(now=True)
    clock.pump([1.0] * 999)
    assert len(logged_errors.flush(ZeroDivisionError)) == 4
    task.stop()


def test_calls_fall_on_multiples_and_missed_ones_are_skipped(clock: Clock, work: Work) -> None:
    """Calls that were missed while the reactor was busy are not repeated."""
    task = Periodic(clock, 1.0, "task", work)
    task.start()
    clock.advance(1.0)
    clock.advance(2.5)
    assert task.late_seconds == 1.5
    clock.advance(0.5)
    assert task.late_seconds == 0
    assert work.times == [1.0, 3.5, 4.0]
    clock.rightNow += 1.25
    assert task.overdue_seconds == 0.25
    task.stop()
    assert task.overdue_seconds == 0


@given(st.floats(0.001, 10), st.floats(0, 1e6), st.integers(1, 50))
def test_each_interval_has_one_call(seconds: float, begin: float, calls: int) -> None:
    """Rounding neither repeats nor skips a call."""
    clock = Clock()
    clock.advance(begin)
    work = Work(clock)
    task = Periodic(clock, seconds, "task", work)
    task.start()
    for _ in range(calls):
        [call] = clock.getDelayedCalls()
        clock.advance(call.getTime() - clock.seconds())
    assert len(work.times) == calls
    assert abs(work.times[-1] - begin - calls * seconds) < 1e-6 * max(1.0, begin)
    task.stop()


def test_no_two_calls_at_once(clock: Clock, work: Work) -> None:
    """While the work runs no other call is made; then one at the next multiple."""
    task = Periodic(clock, 1.0, "task", work, max_seconds=3.0)
    working: Deferred[None] = Deferred()
    work.do = lambda: working
    task.start()
    clock.pump([1.0] * 4)
    assert (work.times, task.fault) == ([1.0], None)
    clock.advance(0.5)
    assert task.fault == "The task task has been running for 4 s."
    work.do = lambda: None
    working.callback(None)
    assert task.fault is None
    clock.advance(0.5)
    assert work.times == [1.0, 5.0]
    task.stop()


def test_stop_waits_for_running_work(clock: Clock, work: Work) -> None:
    """It fires at the end of the work, or at once if none runs; it is idempotent."""
    task = Periodic(clock, 1.0, "task", work)
    task.start()
    assert task.stop().called
    working: Deferred[None] = Deferred()
    work.do = lambda: working
    task.start(now=True)
    stops = [task.stop(), task.stop()]
    assert not any(stop.called for stop in stops)
    working.callback(None)
    assert all(stop.called for stop in stops)
    assert clock.getDelayedCalls() == []


def test_a_cancelled_task_ends_without_an_error(clock: Clock, work: Work) -> None:
    """Cancelled work is no failure."""
    task = Periodic(clock, 1.0, "task", work)
    work.do = Deferred
    task.start(now=True)
    task.cancel()
    assert (task.running, task.ended, task.fault) == (False, False, None)
    assert clock.getDelayedCalls() == []


def test_work_may_stop_its_own_task(clock: Clock, work: Work) -> None:
    """No further call follows."""
    task = Periodic(clock, 1.0, "task", work)
    work.do = task.stop
    task.start()
    clock.pump([1.0] * 2)
    assert work.times == [1.0]


def test_health_shows_a_failing_task(clock: Clock, work: Work, logged_errors: LoggedErrors) -> None:
    """It is a notice: the agent stays ready."""
    condition = HealthState(SystemdNotifier(lambda _: None))
    condition.ready()
    task = Periodic(clock, 1.0, "retention", work)
    condition.tasks.add(task)
    work.do = broken
    task.start(now=True)
    health = condition.current(lambda: None)
    assert health.ready
    assert health.notices == ("The task retention has failed once: ZeroDivisionError: broken.",)
    work.do = lambda: None
    clock.advance(1.0)
    assert condition.current(lambda: None).notices == ()
    assert len(logged_errors.flush(ZeroDivisionError)) == 1
    task.stop()


def test_a_task_that_has_ended_makes_the_agent_unready(clock: Clock, work: Work) -> None:
    """A task without a timer has ended."""
    condition = HealthState(SystemdNotifier(lambda _: None))
    condition.ready()
    task = Periodic(clock, 1.0, "sync", work)
    condition.tasks.add(task)
    task.start()
    assert condition.current(lambda: None).ready
    [call] = clock.getDelayedCalls()
    call.cancel()
    health = condition.current(lambda: None)
    assert health.status == INTERNAL_ERROR
    assert health.reason == "Restart the agent: a task has ended that must always run (sync)."


def test_a_running_task_has_not_ended(clock: Clock, work: Work) -> None:
    """A task may check all tasks, itself included."""
    tasks = Tasks()
    task = Periodic(clock, 1.0, "status", work)
    tasks.add(task)
    found: list[list[str]] = []
    work.do = lambda: found.append(tasks.ended)
    task.start(now=True)
    clock.advance(1.0)
    assert found == [[], []]
    task.stop()


def test_a_stopped_task_has_not_ended(clock: Clock, work: Work) -> None:
    """A task that is not started, or is stopped, is no defect."""
    tasks = Tasks()
    task = Periodic(clock, 1.0, "task", work)
    tasks.add(task)
    assert tasks.ended == []
    task.start()
    task.stop()
    assert (tasks.ended, tasks.faults) == ([], [])
    assert succeed(None).called
