"""Changes that clients ask for: saved, published, and undone if they cannot be saved."""

from __future__ import annotations

import errno

import pytest
from unit.runs.one_run import NOW

from goloagent.core.job_spec import JobSpec
from goloagent.jobs.job import Job, ResultCounts, State
from goloagent.runs.control import JobControl


class Neighbours:
    """The scheduler, repository and output of a control, and the calls that they got."""

    def __init__(self, error: OSError | None = None) -> None:
        self.calls: list[str] = []
        self.error = error

    def cancel(self, job: Job) -> bool:
        self.calls.append("cancel")
        return self.error is None

    def publish(self, job: Job) -> None:
        self.calls.append("publish")

    def change(self, job: Job) -> None:
        self.calls.append("change")
        if self.error is not None:
            raise self.error

    def abandon(self, job: Job, names: object = None) -> int:
        self.calls.append("abandon")
        count = job.results.pending
        job.checkpoint.abandoned += count
        return count

    def begin(self, job: Job) -> None:
        self.calls.append("begin")

    def end(self, job: Job) -> None:
        self.calls.append("end")

    def control(self) -> JobControl:
        return JobControl(self, self, self)  # type: ignore[arg-type]


@pytest.fixture
def job() -> Job:
    """Return a job that is over, with 6 pending results."""
    job = Job("one", JobSpec("shop", 1, 1, "binary"), NOW, State.FINISHED)
    job.restore_results(ResultCounts(read=10, delivered=4))
    return job


@pytest.mark.parametrize("error", [None, OSError(errno.EIO, "broken")])
def test_a_cancel_is_published_and_says_whether_it_is_saved(
    job: Job, error: OSError | None
) -> None:
    """The caller decides what to do with a cancel that is not saved yet."""
    neighbours = Neighbours(error)
    assert neighbours.control().cancel(job) is (error is None)
    assert neighbours.calls == ["cancel", "publish"]


def test_abandoned_results_are_counted_and_saved(job: Job) -> None:
    """All that was pending is abandoned."""
    neighbours = Neighbours()
    assert neighbours.control().abandon(job) == 6
    assert (job.results.pending, job.results.abandoned) == (0, 6)
    assert neighbours.calls == ["abandon", "change"]


def test_results_stay_pending_if_the_change_cannot_be_saved(job: Job) -> None:
    """The output gets the job again."""
    neighbours = Neighbours(OSError(errno.ENOSPC, "full"))
    with pytest.raises(OSError, match="full"):
        neighbours.control().abandon(job)
    assert (job.results.pending, job.results.abandoned) == (6, 0)
    assert neighbours.calls == ["abandon", "change", "begin", "end"]
