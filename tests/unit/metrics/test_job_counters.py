"""Totals over all jobs: they only grow, and count this life's jobs alone."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta, timezone

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goloagent.jobs.job import CallCounts, Checkpoint, Job, LineCounts, ResultCounts, State
from goloagent.jobs.spec import JobSpec
from goloagent.metrics.job_counters import JobCounters

START = datetime(2026, 1, 2, tzinfo=timezone.utc)


@attrs.define
class Time:
    """A monotonic clock, and one of the day, that somebody may have `set` otherwise."""

    seconds: float = 0.0
    set: timedelta = timedelta()

    def now(self) -> datetime:
        return START + timedelta(seconds=self.seconds) + self.set

    def account(self) -> JobCounters:
        """Return a new account by these clocks."""
        return JobCounters(lambda: self.seconds, self.now)


def job(job_id: str = "j", **more: object) -> Job:
    """Return a new job."""
    return Job(job_id, JobSpec("shop", 1, 1, "b"), START, **more)


def test_jobs_add_up() -> None:
    """Totals go on where one job ends and the next begins with zero."""
    account = Time().account()
    for number in range(3):
        one = job(str(number))
        account.update(one)
        one.calls.started, one.calls.ok, one.lines.read, one.lines.invalid = 7, 6, 5, 1
        one.checkpoint.delivered = 4
        one.state = State.FINISHED
        account.update(one)
    assert account.totals == Counter(
        calls_started=21, calls_ok=18, results_read=15, results_valid=12, results_invalid=3
    ) + Counter(results_delivered=12)
    assert account.ended == Counter({State.FINISHED: 3})
    assert account.open_jobs == []


def test_what_an_earlier_life_counted_is_not_counted_again() -> None:
    """Of a job taken up with results pending only what is delivered now counts; it ended before."""
    account = Time().account()
    left = job(
        state=State.INTERRUPTED,
        lines=LineCounts(read=10),
        checkpoint=Checkpoint(delivered=4),
        started_at=START,
    )
    account.update(left)
    assert (+account.totals, account.ended, account.pending) == (Counter(), Counter(), 6)
    left.checkpoint.delivered = 10
    account.update(left)
    assert account.totals == Counter(results_delivered=6)
    assert (account.ended, account.open_jobs) == (Counter(), [])


def test_a_settled_job_is_let_go() -> None:
    """Shown once more after its end, a job changes nothing and is not kept."""
    account = Time().account()
    one = job()
    account.update(one)
    one.state = State.CANCELLED
    for _ in range(3):
        account.update(one)
    assert account.ended == Counter({State.CANCELLED: 1})
    assert account.open_jobs == []


@given(
    st.lists(
        st.tuples(
            st.integers(0, 2),
            st.sampled_from([State.RUNNING, State.FINISHED]),
            st.lists(st.integers(0, 9), min_size=5, max_size=5),
        )
    )
)
def test_totals_never_go_back(steps: list[tuple[int, State, list[int]]]) -> None:
    """Whatever jobs show, no total ever shrinks."""
    account = Time().account()
    jobs = [job(str(number)) for number in range(3)]
    for number, state, (started, ok, read, invalid, delivered) in steps:
        before = Counter(account.totals), Counter(account.ended)
        jobs[number].state = state
        jobs[number].calls = CallCounts(started=started, ok=ok)
        jobs[number].restore_results(ResultCounts(read=read, invalid=invalid, delivered=delivered))
        account.update(jobs[number])
        assert before[0] <= account.totals
        assert before[1] <= account.ended


def test_growth_is_returned() -> None:
    """An observation returns what was added since the last."""
    account = Time().account()
    one = job()
    account.update(one)
    one.lines.read, one.checkpoint.delivered = 300, 256
    assert account.update(one)["results_delivered"] == 256
    assert account.update(one) == Counter()


def test_calls_that_never_returned_are_not_in_flight() -> None:
    """After the end of its job no call is in flight, though results of it may be pending."""
    account = Time().account()
    one = job(state=State.RUNNING, calls=CallCounts(started=5, ok=2), lines=LineCounts(read=1))
    account.update(one)
    assert account.in_flight == 3
    one.state = State.FINISHED
    assert (account.in_flight, account.pending) == (0, 1)


def test_the_lag_is_the_age_of_the_oldest_pending_result() -> None:
    """It grows while a result waits, over all jobs, and shrinks as results are delivered."""
    time = Time()
    account = time.account()
    one = job(state=State.RUNNING, started_at=START)
    account.update(one)
    account.poll()
    assert account.lag_seconds == 0
    for second in range(1, 11):
        time.seconds = second
        one.lines.read += 10
        account.poll()
    assert account.lag_seconds == 9
    one.checkpoint.delivered = 35
    account.poll()
    assert account.lag_seconds == 6
    one.checkpoint.delivered = 100
    account.poll()
    assert account.lag_seconds == 0


@pytest.mark.parametrize("hours", [2, -2, 24 * 40])
def test_a_clock_that_is_set_changes_no_age(hours: int) -> None:
    """Neither of what came in this life, nor of what an earlier one left."""
    time = Time(600)
    account = time.account()
    account.update(job("left", state=State.FINISHED, lines=LineCounts(read=1), started_at=START))
    one = job(state=State.RUNNING, started_at=time.now(), lines=LineCounts(read=1))
    account.update(one)
    account.poll()
    time.seconds, time.set = 610, timedelta(hours=hours)
    account.poll()
    assert account.lag_seconds == 610
    time.seconds, time.set = 620, timedelta(0)
    account.poll()
    assert account.lag_seconds == 620


def test_what_an_earlier_life_left_has_waited_since_its_job_began() -> None:
    """After a restart the age of a pending result is at most told too long."""
    time = Time(600)
    account = time.account()
    account.update(job(state=State.FINISHED, lines=LineCounts(read=10), started_at=START))
    account.poll()
    assert account.lag_seconds == 600


def test_the_lag_in_bytes_is_what_is_behind_the_offset() -> None:
    """Logs count from their committed offset on, and only where results are pending."""
    account = Time().account()
    for name, delivered, committed in (("a", 0, 30), ("b", 0, 200), ("c", 2, 10)):
        checkpoint = Checkpoint(delivered=delivered, committed=committed)
        account.update(job(name, lines=LineCounts(read=2), checkpoint=checkpoint))
    assert account.lag_bytes(lambda job: 100) == 70
