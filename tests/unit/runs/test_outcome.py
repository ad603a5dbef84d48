"""Why a job ended: which events are causes, and what they add up to."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from goloagent.core.host_fault import HostFault
from goloagent.core.job_spec import JobSpec
from goloagent.jobs.job import (
    CallCounts,
    Exit,
    FailureReason,
    InvalidLine,
    Job,
    LineCounts,
    ResultCounts,
    State,
)
from goloagent.runs import outcome
from goloagent.runs.outcome import failure_for, final_state
from goloagent.runs.transitions import TRANSITIONS, Event, Phase

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
CLEAN, CODE, KILLED = Exit(code=0), Exit(code=3), Exit(signal="SIGKILL")
GOOD = CallCounts(started=2, ok=1, failed=1)


def reason_of(phase: Phase, event: Event, exit_: Exit | None = None) -> str | None:
    """Return the code of a cause, if it is one."""
    cause = failure_for(phase, event, 60, exit_)
    return cause and cause.reason


@pytest.mark.parametrize(
    "phase", [Phase.LAUNCHING, Phase.CONNECTING, Phase.RUNNING, Phase.CONNECTION_LOST]
)
@pytest.mark.parametrize(
    ("exit_", "reason"), [(CLEAN, "exited"), (CODE, "exited"), (KILLED, "signalled")]
)
def test_an_exit_while_there_is_work_is_early(phase: Phase, exit_: Exit, reason: str) -> None:
    """A load test that exits without SIGTERM has failed, even with code 0."""
    assert reason_of(phase, Event.EXITED, exit_) == reason


@pytest.mark.parametrize("phase", [Phase.DRAINING_CALLS, Phase.WAITING_FOR_OUTPUT])
@pytest.mark.parametrize(
    ("exit_", "reason"), [(CLEAN, None), (CODE, "exited"), (KILLED, "signalled")]
)
def test_an_exit_in_the_ordered_end_is_a_crash_or_fine(
    phase: Phase, exit_: Exit, reason: str | None
) -> None:
    """After its duration a load test may end cleanly, and only that."""
    assert reason_of(phase, Event.EXITED, exit_) == reason


@pytest.mark.parametrize("phase", [Phase.TERMINATING, Phase.CLOSING_PIPES, Phase.KILLING])
@pytest.mark.parametrize("exit_", [CLEAN, CODE, KILLED])
def test_an_exit_that_was_asked_for_is_no_cause(phase: Phase, exit_: Exit) -> None:
    """After SIGTERM any exit is what was wanted."""
    assert reason_of(phase, Event.EXITED, exit_) is None


@pytest.mark.parametrize(
    ("phase", "reason"),
    [
        (Phase.PREPARING, "slow-disk"),
        (Phase.LAUNCHING, "start-timeout"),
        (Phase.CONNECTING, "start-timeout"),
        (Phase.RUNNING, None),
        (Phase.DRAINING_CALLS, None),
        (Phase.WAITING_FOR_OUTPUT, None),
        (Phase.CONNECTION_LOST, "rpc-lost"),
        (Phase.TERMINATING, None),
        (Phase.CLOSING_PIPES, None),
        (Phase.KILLING, None),
    ],
)
def test_which_time_outs_are_causes(phase: Phase, reason: str | None) -> None:
    """A phase that lasts too long is a cause only where something was still expected."""
    assert reason_of(phase, Event.TIMEOUT) == reason


def test_no_other_event_is_a_cause_by_itself() -> None:
    """Refusals, faults and cancels bring their own cause; the rest is the ordered way."""
    for phase, event in TRANSITIONS:
        if event not in (Event.EXITED, Event.TIMEOUT):
            assert failure_for(phase, event, 60, CODE) is None


def test_the_sentences_name_what_happened() -> None:
    """A person reads the seconds, the code, the signal, and whether it had listened."""

    def sentence(phase: Phase, event: Event, exit_: Exit | None = None) -> str:
        cause = failure_for(phase, event, 2.5, exit_)
        assert cause is not None
        return cause.message

    assert "within 2.5 s" in sentence(Phase.CONNECTING, Event.TIMEOUT)
    assert sentence(Phase.LAUNCHING, Event.EXITED, CODE) == (
        "The load test exited with code 3 before it listened: it must serve net/rpc on the address "
        "in GOLO_RPC_ADDR, as the SDK and the load tests of `golo new` do. If it makes its own "
        'load, use "drive": "self", or `golo run --drive self`; if it is a command to repeat, use '
        "`golo run --exec -- COMMAND`."
    )
    assert "SIGKILL while the job ran" in sentence(Phase.RUNNING, Event.EXITED, KILLED)


@pytest.mark.parametrize(
    ("cause", "state"),
    [
        (outcome.CANCELLED, State.CANCELLED),
        (outcome.AGENT_STOPPED, State.INTERRUPTED),
        (outcome.AGENT_RESTART, State.INTERRUPTED),
        (FailureReason("disk-full", "x"), State.FAILED),
    ],
)
@pytest.mark.parametrize("calls", [CallCounts(), GOOD, CallCounts(started=1, failed=1)])
def test_a_cause_decides_whatever_the_calls_did(
    cause: FailureReason, state: State, calls: CallCounts
) -> None:
    """The first cause stands, and gives the state."""
    assert final_state(cause, calls, "boom") == (state, cause)


def test_one_good_call_finishes_a_job() -> None:
    """Without a cause, a single successful call is enough."""
    assert final_state(None, GOOD, "boom") == (State.FINISHED, None)


def test_only_failed_calls_fail_a_job() -> None:
    """If every call failed, the job has failed with the last error."""
    state, cause = final_state(None, CallCounts(started=3, failed=2), "boom")
    assert (state, cause and cause.reason) == (State.FAILED, "calls-failed")
    assert cause is not None
    assert "boom" in cause.message


def test_no_answered_call_fails_a_job() -> None:
    """When calls were made and none returned, the job has failed for that."""
    assert final_state(None, CallCounts(), None) == (State.FINISHED, None)
    state, cause = final_state(None, CallCounts(started=25), None)
    assert (state, cause and cause.reason) == (State.FAILED, "calls-unanswered")


def test_the_hosts_fault_puts_a_job_back() -> None:
    """A job that has not begun for no fault of its own waits again, without a cause."""
    cause = outcome.from_host(HostFault("no-tasks", "No process can be started."))
    assert final_state(cause, CallCounts(), None) == (State.QUEUED, None)
    too_long = failure_for(Phase.PREPARING, Event.TIMEOUT, 60, None)
    assert too_long is not None
    assert too_long.requeue


@pytest.mark.parametrize(
    ("ok", "read", "is_cut", "state", "warned"),
    [
        (144, 73, True, State.FINISHED, True),
        (144, 73, False, State.FINISHED, False),
        (144, 71, False, State.FINISHED, True),
        (144, 0, False, State.FINISHED, True),
        (144, 0, False, State.CANCELLED, True),
        (144, 144, True, State.FINISHED, False),
        (144, 500, True, State.FINISHED, False),
        (144, 0, False, State.FAILED, False),
        (0, 0, False, State.FINISHED, False),
    ],
)
def test_output_that_was_not_flushed(
    ok: int, read: int, is_cut: bool, state: State, warned: bool
) -> None:
    """Fewer lines than calls, and the last one cut, or far fewer; a failure has its own reason."""
    cause = {
        State.FINISHED: None,
        State.CANCELLED: outcome.CANCELLED,
        State.FAILED: FailureReason("exited", "x"),
    }[state]
    spec = JobSpec("name", 1, 1, "binary")
    job = Job("id", spec, NOW, state, cause, calls=CallCounts(ok, ok), lines=LineCounts(read=read))
    sentences = list(outcome.warnings(job, is_cut))
    assert len(sentences) == warned
    assert not warned or "flush stdout" in sentences[0]


def test_lines_that_are_no_results() -> None:
    """How many, and what is wrong with the first, whatever became of the job."""
    job = Job(
        "id", JobSpec("name", 1, 1, "binary"), NOW, State.FAILED, FailureReason("exited", "x")
    )
    job.restore_results(ResultCounts(read=78, invalid=70))
    job.invalid_line = InvalidLine(9, "timestamp: it is missing", "{}")
    assert list(outcome.warnings(job, False)) == [
        "70 of 78 lines of stdout are no results. The first is line 9: timestamp: it is missing."
    ]
