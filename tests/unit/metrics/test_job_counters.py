"""Totals over all jobs since the start of the process, and the lag."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta, timezone

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goloagent.core.job_spec import JobSpec
from goloagent.jobs.job import CallCounts, Checkpoint, Job, LineCounts, ResultCounts, State
from goloagent.metrics.job_counters import JobCounters

START = datetime(2026, 1, 2, tzinfo=timezone.utc)


@attrs.define
class Time:
    """A monotonic clock, and a wall clock that is `set` by a difference."""

    seconds: float = 0.0
    set: timedelta = timedelta()

    def now(self) -> datetime:
        return START + timedelta(seconds=self.seconds) + self.set

    def counters(self) -> JobCounters:
        """Return new counters with these clocks."""
        return JobCounters(lambda: self.seconds, self.now)


def job(job_id: str = "j", **more: object) -> Job:
    """Return a new job."""
    return Job(job_id, JobSpec("shop", 1, 1, "b"), START, **more)


def test_jobs_add_up() -> None:
    """Totals grow over jobs, each of which counts from zero."""
    counters = Time().counters()
    for number in range(3):
        one = job(str(number))
        counters.update(one)
        one.calls.started, one.calls.ok, one.lines.read, one.lines.invalid = 7, 6, 5, 1
        one.checkpoint.delivered = 4
        one.state = State.FINISHED
        counters.update(one)
    assert counters.totals == Counter(
        calls_scheduled=21,
        calls_started=21,
        calls_ok=18,
        results_read=15,
        results_valid=12,
        results_invalid=3,
        results_delivered=12,
    )
    assert counters.ended == Counter({State.FINISHED: 3})
    assert counters.open_jobs == []


def test_a_recovered_job() -> None:
    """Only its growth counts; it ended in a previous process."""
    counters = Time().counters()
    left = job(
        state=State.INTERRUPTED,
        lines=LineCounts(read=10),
        checkpoint=Checkpoint(delivered=4),
        started_at=START,
    )
    counters.update(left)
    assert (+counters.totals, counters.ended, counters.pending) == (Counter(), Counter(), 6)
    left.checkpoint.delivered = 10
    counters.update(left)
    assert counters.totals == Counter(results_delivered=6)
    assert (counters.ended, counters.open_jobs) == (Counter(), [])


def test_a_fully_delivered_job_is_not_tracked() -> None:
    """Further updates change no counter."""
    counters = Time().counters()
    one = job()
    counters.update(one)
    one.state = State.CANCELLED
    for _ in range(3):
        counters.update(one)
    assert counters.ended == Counter({State.CANCELLED: 1})
    assert counters.open_jobs == []


@given(
    st.lists(
        st.tuples(
            st.integers(0, 2),
            st.sampled_from([State.RUNNING, State.FINISHED]),
            st.lists(st.integers(0, 9), min_size=5, max_size=5),
        )
    )
)
def test_totals_never_decrease(steps: list[tuple[int, State, list[int]]]) -> None:
    """No update of a job decreases a total."""
    counters = Time().counters()
    jobs = [job(str(number)) for number in range(3)]
    for number, state, (started, ok, read, invalid, delivered) in steps:
        before = Counter(counters.totals), Counter(counters.ended)
        jobs[number].state = state
        jobs[number].calls = CallCounts(started=started, ok=ok)
        jobs[number].restore_results(ResultCounts(read=read, invalid=invalid, delivered=delivered))
        counters.update(jobs[number])
        assert before[0] <= counters.totals
        assert before[1] <= counters.ended


def test_growth_is_returned() -> None:
    """An update returns the growth since the last."""
    counters = Time().counters()
    one = job()
    counters.update(one)
    one.lines.read, one.checkpoint.delivered = 300, 256
    assert counters.update(one)["results_delivered"] == 256
    assert counters.update(one) == Counter()


def test_calls_that_never_returned_are_not_in_flight() -> None:
    """After the end of its job no call is in flight; results may be pending."""
    counters = Time().counters()
    one = job(state=State.RUNNING, calls=CallCounts(started=5, ok=2), lines=LineCounts(read=1))
    counters.update(one)
    assert counters.in_flight == 3
    one.state = State.FINISHED
    assert (counters.in_flight, counters.pending) == (0, 1)


def test_the_lag_is_the_age_of_the_oldest_pending_result() -> None:
    """It grows while a result is pending, and decreases as results are delivered."""
    time = Time()
    counters = time.counters()
    one = job(state=State.RUNNING, started_at=START)
    counters.update(one)
    counters.poll()
    assert counters.lag_seconds == 0
    for second in range(1, 11):
        time.seconds = second
        one.lines.read += 10
        counters.poll()
    assert counters.lag_seconds == 9
    one.checkpoint.delivered = 35
    counters.poll()
    assert counters.lag_seconds == 6
    one.checkpoint.delivered = 100
    counters.poll()
    assert counters.lag_seconds == 0


@pytest.mark.parametrize("hours", [2, -2, 24 * 40])
def test_setting_the_clock_changes_no_age(hours: int) -> None:
    """Neither of results of this process, nor of previous ones."""
    time = Time(600)
    counters = time.counters()
    counters.update(job("left", state=State.FINISHED, lines=LineCounts(read=1), started_at=START))
    one = job(state=State.RUNNING, started_at=time.now(), lines=LineCounts(read=1))
    counters.update(one)
    counters.poll()
    time.seconds, time.set = 610, timedelta(hours=hours)
    counters.poll()
    assert counters.lag_seconds == 610
    time.seconds, time.set = 620, timedelta(0)
    counters.poll()
    assert counters.lag_seconds == 620


def test_the_age_of_recovered_results() -> None:
    """They count from the start of their job, because their age is unknown."""
    time = Time(600)
    counters = time.counters()
    counters.update(job(state=State.FINISHED, lines=LineCounts(read=10), started_at=START))
    counters.poll()
    assert counters.lag_seconds == 600


def test_the_lag_in_bytes() -> None:
    """Logs with pending results count from their committed offset."""
    counters = Time().counters()
    for name, delivered, committed in (("a", 0, 30), ("b", 0, 200), ("c", 2, 10)):
        checkpoint = Checkpoint(delivered=delivered, committed=committed)
        counters.update(job(name, lines=LineCounts(read=2), checkpoint=checkpoint))
    assert counters.lag_bytes(lambda job: 100) == 70
