"""A job in the log: sentences, without the insides of the program."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from goloagent.core.host_fault import HostFault
from goloagent.core.job_spec import JobSpec
from goloagent.jobs.job import CallCounts, Checkpoint, Job, ResultCounts, State
from goloagent.runs import messages, outcome

BEGIN = datetime(2026, 1, 2, tzinfo=timezone.utc)


def a_job(state: State = State.QUEUED) -> Job:
    """Return a job of 25 users for a minute."""
    return Job(id="1", spec=JobSpec("checkout", 25, 60, "b"), queued_at=BEGIN, state=state)


def test_a_job_that_starts() -> None:
    """The message has the request."""
    assert messages.starts(a_job()) == 'job 1 starts: "checkout", 25 users for 60 s, binary b'


def test_a_job_that_has_finished() -> None:
    """How long it took and what it came to; nothing is said of a cause that there is not."""
    job = a_job(State.FINISHED)
    job.started_at, job.ended_at = BEGIN, BEGIN + timedelta(seconds=61.25)
    job.calls = CallCounts(1234, 1230, 4)
    job.restore_results(ResultCounts(read=1240, invalid=6))
    assert messages.ended(job) == (
        "job 1 is finished after 61.2 s: 1,234 calls, 4 of them failed, 6 invalid lines, "
        "1,234 results"
    )


def test_a_job_that_did_not_finish() -> None:
    """Why is said by reason and sentence."""
    job = a_job(State.CANCELLED)
    job.cause = outcome.CANCELLED
    assert messages.ended(job) == (
        "job 1 is cancelled (cancelled: The job was cancelled): "
        "0 calls, 0 of them failed, 0 results"
    )


def test_a_job_that_a_kill_interrupted() -> None:
    """The next life says what it has found, and what of it is still to be delivered."""
    job = a_job(State.INTERRUPTED)
    job.cause = outcome.AGENT_RESTART
    job.restore_results(ResultCounts(read=10, delivered=3))
    assert messages.recovered(job) == (
        "recovered job 1, which is interrupted (agent-restart: The agent ended unexpectedly while "
        "the job ran; it is not run again): 0 calls, 0 of them failed, 10 results, of which 7 are "
        "pending"
    )
    job.outputs = {"influx": Checkpoint(delivered=10), "pg": Checkpoint(delivered=1)}
    assert messages.recovered(job).endswith("of which 7 are pending, 9 for pg")


def test_a_job_that_is_queued_again() -> None:
    """A job that a stop of the agent requeues did not run."""
    assert messages.ended(a_job(), outcome.AGENT_STOPPED) == (
        "job 1 is queued again (the agent stops)"
    )
    assert messages.ended(a_job(), outcome.from_host(HostFault("disk-full", "No room."))) == (
        "job 1 is queued again (disk-full: No room)"
    )
