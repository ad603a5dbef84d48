"""A run with drive ``self``: it has no connection and ends with its program or its time."""

from __future__ import annotations

import pytest
from unit.runs.one_run import OneRun

from goloagent.jobs.job import CallCounts, Exit, State
from goloagent.runs import outcome
from goloagent.runs.steering import ChangeRequest, InvalidChange

SECONDS = 10


@pytest.fixture
def run() -> OneRun:
    """Return a run whose program drives itself and was executed."""
    run = OneRun(users=0, duration_seconds=SECONDS, members={"drive": "self"}).start()
    run.prepared()
    run.launched()
    return run


def ended(run: OneRun) -> tuple[State, str | None]:
    """Check that the run is over; return its state and reason."""
    assert run.over
    return run.job.state, run.job.cause and run.job.cause.reason


def test_it_is_running_at_once(run: OneRun) -> None:
    """Without a connection, and without a call."""
    assert run.job.state is State.RUNNING
    assert run.connecting is None
    run.clock.advance(SECONDS - 1)
    assert run.job.state is State.RUNNING
    assert run.job.calls == CallCounts()


@pytest.mark.parametrize(
    ("code", "signal_number", "end"),
    [
        (0, None, (State.FINISHED, None)),
        (3, None, (State.FAILED, "exited")),
        (None, 11, (State.FAILED, "signalled")),
    ],
)
def test_the_program_ends_by_itself(
    run: OneRun, code: int | None, signal_number: int | None, end: tuple[State, str | None]
) -> None:
    """Its exit decides; without a call and without a result it is finished all the same."""
    run.clock.advance(SECONDS / 2)
    run.print_results(3)
    run.exit(code, signal_number)
    run.close()
    assert ended(run) == end
    assert (run.job.lines.read, run.job.results.valid) == (3, 3)
    assert run.story[-2:] == ["end", "over"]


@pytest.mark.parametrize("exit_code", [0, 1, None])
def test_its_time_is_over(run: OneRun, exit_code: int | None) -> None:
    """It gets SIGTERM and its grace, and is finished however it ends then."""
    run.clock.advance(SECONDS)
    assert run.job.state is State.STOPPING
    assert "SIGTERM" in run.story
    assert "SIGKILL" not in run.story
    run.exit(exit_code, None if exit_code is not None else 15)
    run.close()
    assert ended(run) == (State.FINISHED, None)
    assert run.job.exit == Exit(exit_code, None if exit_code is not None else "SIGTERM")


def test_it_ignores_sigterm(run: OneRun) -> None:
    """SIGKILL follows after the grace."""
    run.clock.advance(SECONDS)
    run.clock.advance(run.bounds.grace_seconds)
    assert run.story.count("SIGKILL") == 1
    run.exit(None, 9)
    run.close()
    assert ended(run) == (State.FINISHED, None)


def test_it_is_cancelled(run: OneRun) -> None:
    """At once, with SIGTERM and a shorter grace."""
    run.run.cancel(outcome.CANCELLED)
    assert "SIGTERM" in run.story
    run.exit(0)
    run.close()
    assert ended(run) == (State.CANCELLED, "cancelled")


def test_its_time_is_changed(run: OneRun) -> None:
    """The duration of a program that drives itself can be changed, and nothing else."""
    run.clock.advance(1)
    change = run.run.change(ChangeRequest(duration=4))
    assert (change.at, change.duration) == (1, 4)
    run.clock.advance(2.9)
    assert run.job.state is State.RUNNING
    run.clock.advance(0.2)
    assert run.job.state is State.STOPPING
    for request in (ChangeRequest(users=3), ChangeRequest(paused=True), ChangeRequest()):
        with pytest.raises(InvalidChange, match=r"drives itself|give users"):
            run.run.change(request)


def test_each_second_is_measured(run: OneRun) -> None:
    """Its results are in the timeline, with no planned load."""
    run.print_results(5)
    run.clock.advance(1)
    [window] = run.timeline.windows
    assert (window.results, window.planned, window.started) == (5, 0, 0)


def test_a_cancel_before_the_launch() -> None:
    """The program that is executed then is ended like any other."""
    run = OneRun(users=0, duration_seconds=SECONDS, members={"drive": "self"}).start()
    run.prepared()
    run.run.cancel(outcome.CANCELLED)
    run.launched()
    run.exit(None, 15)
    run.close()
    assert ended(run) == (State.CANCELLED, "cancelled")
