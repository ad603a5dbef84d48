"""Without a collector results are abandoned, except those that wait for one."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest
from twisted.internet.task import Clock

from goloagent.core.job_spec import JobSpec
from goloagent.jobs.job import Job, ResultCounts, State
from goloagent.outputs.no_output import SAVE_SECONDS, NoOutput

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)


class World:
    """An agent without a collector, and what it saves."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.saved: list[ResultCounts] = []
        self.output = NoOutput(self.clock, lambda job: self.saved.append(job.results))
        self.output.start()


@pytest.fixture
def world() -> World:
    """Return a new world."""
    return World()


def a_job(state: State, results: ResultCounts | None = None) -> Job:
    """Return a job in a state, with counts."""
    job = Job("job", JobSpec("shop", 1, 1, "binary"), START, state)
    job.restore_results(results or ResultCounts())
    return job


def set_counts(job: Job, read: int, invalid: int, end: int) -> None:
    """Set the counts of a job's log up to a byte."""
    job.lines.read, job.lines.invalid = read, invalid
    job.verified_range = range(0, end)


def test_results_are_abandoned_at_once(world: World) -> None:
    """The counts add up at any moment."""
    job = a_job(State.RUNNING)
    world.output.begin(job)
    for read, invalid, end in ((1, 0, 10), (5, 2, 50), (9, 2, 90)):
        set_counts(job, read, invalid, end)
        world.output.on_appended(job)
        results = job.results
        assert results.pending == results.delivered == results.rejected == 0
        assert (results.abandoned, results.committed) == (results.valid, end)
    set_counts(job, 10, 3, 99)
    job.state = State.FINISHED
    world.output.end(job)
    assert (job.results.abandoned, job.results.committed) == (7, 99)
    assert job.fully_delivered
    assert world.output.status(job).state == "none"
    assert world.output.state == "ok"


def test_saves_are_limited(world: World) -> None:
    """A growing log is saved twice a second, and at its end."""
    job = a_job(State.RUNNING)
    world.output.begin(job)
    for _ in range(100):
        world.clock.advance(SAVE_SECONDS / 10)
        world.output.on_appended(job)
    assert 10 <= len(world.saved) <= 11
    world.output.end(job)
    assert len(world.saved) <= 12


def test_a_run_is_saved_with_its_first_results(world: World) -> None:
    """It is saved at once, because after a kill it would wait for a collector."""
    for number in range(2):
        job = a_job(State.RUNNING)
        world.output.begin(job)
        set_counts(job, 1, 0, 10)
        world.output.on_appended(job)
        assert len(world.saved) == number + 1


def test_the_rest_of_a_killed_run_is_abandoned(world: World) -> None:
    """A run that began without a collector waits for none."""
    job = a_job(State.INTERRUPTED, ResultCounts(read=9, abandoned=5, committed=50))
    world.output.begin(job)
    world.output.end(job)
    assert (job.results.pending, job.results.abandoned) == (0, 9)


@pytest.mark.parametrize(
    "results",
    [
        ResultCounts(read=9),
        ResultCounts(read=9, delivered=5, committed=50),
        ResultCounts(read=9, delivered=4, rejected=1, abandoned=1, committed=50),
    ],
)
def test_results_pending_for_a_collector_stay_pending(world: World, results: ResultCounts) -> None:
    """A start without a collector drops nothing that a previous process left for one."""
    job = a_job(State.FINISHED, results)
    pending = results.pending
    world.output.begin(job)
    world.output.end(job)
    assert job.results.pending == pending
    assert world.saved == []
    status = world.output.status(job)
    assert (status.state, world.output.state) == ("holding", "holding")
    assert "no collector" in (status.last_error or "")
    assert world.output.abandon(job) == pending
    assert job.fully_delivered
    assert world.output.state == "ok"
