"""One run from its start to each of its ends, without processes, sockets and real time."""

from __future__ import annotations

import errno
import os
import signal
import sqlite3
from collections.abc import Callable, Iterator

import pytest
from conftest import LoggedErrors
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.error import ConnectingCancelledError, DNSLookupError
from twisted.logger import Logger
from unit.load.peer import REMOTE
from unit.runs.one_run import NOW, RESULT, OneRun, cancel_seconds

from goloagent.concurrency.cooperation import TURN_SECONDS
from goloagent.core import host_fault
from goloagent.jobs.job import Exit, FailureReason, State
from goloagent.results.line_counter import LineCounter
from goloagent.runs import outcome
from goloagent.runs.preparation import PreparationError
from goloagent.runs.transitions import Phase

RUNNING = [
    Phase.LAUNCHING,
    Phase.CONNECTING,
    Phase.RUNNING,
    Phase.DRAINING_CALLS,
    Phase.WAITING_FOR_OUTPUT,
    Phase.TERMINATING,
    Phase.CLOSING_PIPES,
]
DISK_FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def end_by_sigterm(one: OneRun) -> None:
    """End the load test after SIGTERM."""
    assert one.story[-1] == "SIGTERM"
    one.exit(None, signal.SIGTERM)
    one.close()


# The ordered end.


def test_a_whole_run() -> None:
    """A run in order is `finished`, and all calls and results are counted."""
    one = OneRun(users=3, duration_seconds=10).come_to(Phase.RUNNING)
    one.print_results(2)
    one.answer(3)
    one.clock.advance(10)
    assert one.calls.started == 6
    one.answer(3)
    one.clock.advance(0.5)
    one.print_results(4)
    one.clock.advance(0.9)
    assert "SIGTERM" not in one.story
    one.clock.advance(0.1)
    end_by_sigterm(one)
    one.check(State.FINISHED)
    assert (one.calls.ok, one.calls.in_flight, one.job.results.valid) == (6, 0, 6)
    assert one.job.exit == Exit(None, "SIGTERM")
    assert one.saved == [
        State.STARTING,
        State.RUNNING,
        State.STOPPING,
        State.FINISHED,
    ]
    assert one.story == [
        *("spawn", "begin", "SIGTERM", "SIGKILL", "abandon", "cleanup"),
        *("end", "over"),
    ]
    assert one.job.started_at == one.job.ended_at == NOW


def test_duration_zero() -> None:
    """Every user calls once, and each call is waited for."""
    one = OneRun(users=5, duration_seconds=0).come_to(Phase.RUNNING)
    one.clock.advance(0)
    assert one.calls.started == 5
    one.answer()
    one.pass_all_time()
    one.check(State.FINISHED)
    assert (one.calls.ok, one.calls.started) == (5, 5)


def test_the_last_line_has_no_newline() -> None:
    """Text after the last newline is a line, counted when the pipes are closed."""
    one = OneRun().come_to(Phase.RUNNING)
    one.watching.stdout(RESULT + RESULT[:-1])
    assert one.job.results.read == 1
    one.answer()
    one.pass_all_time()
    one.check(State.FINISHED)
    assert (one.job.results.read, one.job.results.invalid) == (2, 0)


def test_output_before_the_launch_is_known() -> None:
    """Output is recorded even if it is read before the launch is reported."""
    one = OneRun().come_to(Phase.LAUNCHING)
    one.print_results(3)
    one.watching.stderr(b"hello")
    one.launched()
    one.connected()
    one.answer()
    one.pass_all_time()
    one.check(State.FINISHED)
    assert (one.job.results.valid, one.log.err) == (3, b"hello")


def test_output_after_the_exit() -> None:
    """Pipes are read to their end after the exit."""
    one = OneRun().come_to(Phase.CLOSING_PIPES)
    one.print_results(5)
    one.close()
    one.check(State.FINISHED)
    assert one.job.results.valid == 5


def test_stdout_is_never_idle() -> None:
    """A load test that always prints gets SIGTERM after the timeout, and its output is kept."""
    one = OneRun().come_to(Phase.WAITING_FOR_OUTPUT)
    seconds = 0.0
    while "SIGTERM" not in one.story:
        one.print_results(1)
        one.clock.advance(0.5)
        seconds += 0.5
    assert seconds == one.bounds.output_seconds
    end_by_sigterm(one)
    one.check(State.FINISHED)
    assert one.job.results.valid == 20


def test_sigterm_is_ignored() -> None:
    """After the grace period comes SIGKILL; the run is finished nevertheless."""
    one = OneRun().come_to(Phase.TERMINATING)
    one.clock.advance(one.bounds.grace_seconds)
    assert one.story[-2:] == ["SIGTERM", "SIGKILL"]
    one.exit(None, signal.SIGKILL)
    one.close()
    one.check(State.FINISHED)
    assert one.job.exit == Exit(None, "SIGKILL")


def test_a_grandchild_holds_the_pipes() -> None:
    """Pipes that stay open after the exit are abandoned after SIGKILL to the group."""
    one = OneRun().come_to(Phase.CLOSING_PIPES)
    one.clock.advance(one.bounds.pipes_seconds)
    assert one.story[-1] == "SIGKILL"
    assert not one.over
    one.clock.advance(one.bounds.kill_seconds)
    one.check(State.FINISHED)
    one.close()


def test_an_exit_in_the_ordered_end() -> None:
    """A load test may exit when its calls have returned; its children get SIGTERM."""
    one = OneRun().come_to(Phase.WAITING_FOR_OUTPUT)
    one.exit(0)
    assert one.story[-1] == "SIGTERM"
    one.close()
    one.check(State.FINISHED)


@pytest.mark.parametrize("phase", [Phase.DRAINING_CALLS, Phase.WAITING_FOR_OUTPUT])
def test_a_crash_in_the_ordered_end(phase: Phase) -> None:
    """A late crash fails the job too."""
    one = OneRun().come_to(Phase.RUNNING)
    one.answer()
    one.clock.advance(10)
    if phase is Phase.WAITING_FOR_OUTPUT:
        one.answer()
    one.exit(None, signal.SIGSEGV)
    one.close()
    one.check(State.FAILED, "signalled")


def test_a_connection_closed_in_the_ordered_end() -> None:
    """The connection may end when no more calls are made."""
    one = OneRun().come_to(Phase.RUNNING)
    one.answer()
    one.clock.advance(10)
    assert one.peer is not None
    one.peer.close()
    one.pass_all_time()
    one.check(State.FINISHED)


def test_some_calls_never_return() -> None:
    """They are in flight until the timeout and at the end."""
    one = OneRun(users=4).come_to(Phase.RUNNING)
    one.answer(1)
    one.clock.advance(10)
    one.clock.advance(one.bounds.drain_seconds)
    one.pass_all_time()
    one.check(State.FINISHED)
    assert (one.calls.ok, one.calls.in_flight) == (1, 4)


# The other endings, each with its reason.


def test_a_preparation_error() -> None:
    """A preparation error is the reason: here the port is in use."""
    one = OneRun().start()
    cause = FailureReason("rpc-port-busy", "Another program listens.")
    one.preparing.errback(PreparationError(cause))
    assert one.check(State.FAILED, "rpc-port-busy") is cause
    assert one.story == ["over"]
    assert not one.job.has_log


def test_prepared_at_once() -> None:
    """Preparing may be done, or refused, before `start` returns."""
    one = OneRun()
    one.prepared()
    one.start()
    assert one.story == ["spawn"]
    other = OneRun()
    other.preparing.errback(PreparationError(FailureReason("log-path", "A link.")))
    other.start().check(State.FAILED, "log-path")


def test_an_unexpected_error_of_the_preparation(logged_errors: LoggedErrors) -> None:
    """An unexpected error is logged and ends the job."""
    one = OneRun().start()
    one.preparing.errback(ZeroDivisionError("a bug"))
    one.check(State.FAILED, "internal-error")
    assert len(logged_errors.flush(ZeroDivisionError)) == 1


def test_preparing_takes_too_long() -> None:
    """It is cancelled, and the job is requeued."""
    one = OneRun().start()
    one.clock.advance(one.bounds.prepare_seconds)
    one.check_requeued("slow-disk")
    assert one.preparing.called


def test_no_process_can_be_made() -> None:
    """The reason of the system is in the message."""
    one = OneRun().start()
    one.spawn_error = OSError(errno.EPERM, os.strerror(errno.EPERM))
    one.prepared()
    cause = one.check(State.FAILED, "spawn-failed")
    assert cause is not None
    assert os.strerror(errno.EPERM) in cause.message
    assert one.story == ["cleanup", "begin", "end", "over"]


# The machine's fault, which is no job's.


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (OSError(errno.EAGAIN, "Resource temporarily unavailable"), "no-tasks"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "no-memory"),
        (OSError(errno.EMFILE, "Too many open files"), "no-descriptors"),
        (OSError(errno.ENFILE, "Too many open files in system"), "no-descriptors"),
        (RuntimeError("can't start new thread"), "no-tasks"),
        (MemoryError(), "no-memory"),
    ],
)
@pytest.mark.parametrize("where", ["prepare", "spawn"])
def test_a_fault_of_the_host_requeues_the_job(where: str, error: Exception, status: str) -> None:
    """Before the load test runs, any fault of the host requeues the job."""
    one = OneRun()
    one.start()
    if where == "prepare":
        one.preparing.errback(error)
    else:
        one.spawn_error = error
        one.prepared()
    one.check_requeued(status)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_a_start_that_cannot_be_saved(code: int) -> None:
    """Otherwise it would run again after a restart."""
    one = OneRun()
    one.store_error = OSError(code, os.strerror(code))
    one.prepared()
    one.start()
    one.check_requeued(host_fault.status_of_errno(code))
    assert "spawn" not in one.story


def test_a_fault_of_the_host_in_the_launcher() -> None:
    """The job is requeued when its processes have ended."""
    one = OneRun().come_to(Phase.LAUNCHING)
    one.watching.launch_failed("make a PID namespace: no", "no-tasks")
    one.exit(127)
    assert not one.over
    one.close()
    one.check_requeued("no-tasks")
    assert "begin" not in one.story


def test_a_cancel_of_a_job_to_be_requeued() -> None:
    """A cancel counts more than a fault of the host."""
    one = OneRun().come_to(Phase.LAUNCHING)
    one.watching.launch_failed("make a PID namespace: no", "no-tasks")
    one.run.cancel(outcome.CANCELLED)
    one.exit(127)
    one.close()
    one.check(State.CANCELLED, "cancelled")


def test_the_peer_cannot_be_verified_for_a_while() -> None:
    """Without threads or descriptors the check is repeated until the start timeout."""
    one = OneRun().come_to(Phase.LAUNCHING)
    one.looking = fail(RuntimeError("can't start new thread"))
    one.launched()
    one.connected()
    one.clock.advance(0.5)
    one.looking = fail(OSError(errno.EMFILE, os.strerror(errno.EMFILE)))
    one.clock.advance(0.5)
    assert one.job.state is State.STARTING
    one.looking = succeed(False)
    one.clock.advance(0.5)
    assert one.job.state is State.RUNNING
    one.answer()
    one.pass_all_time()
    one.check(State.FINISHED)


def test_another_program_took_the_port() -> None:
    """The connection is closed without a call, and the load test gets SIGTERM."""
    one = OneRun().come_to(Phase.LAUNCHING)
    one.looking = succeed(True)
    one.launched()
    one.connected()
    assert one.peer is not None
    assert (one.peer.outstanding, one.peer.wire.is_closed) == (0, True)
    assert one.story[-1] == "SIGTERM"
    one.exit(None, signal.SIGTERM)
    one.close()
    one.check(State.FAILED, "rpc-port-busy")
    assert one.calls.started == 0


def test_no_call_before_the_peer_is_verified() -> None:
    """An event that ends the run meanwhile is the reason, and the check is cancelled."""
    one = OneRun().come_to(Phase.LAUNCHING)
    one.looking = Deferred()
    one.launched()
    one.connected()
    assert one.peer is not None
    assert (one.peer.outstanding, one.job.state) == (0, State.STARTING)
    one.exit(3)
    one.close()
    one.check(State.FAILED, "exited")
    assert one.looking.called


def test_exec_failed() -> None:
    """The launcher's sentence is the reason, not the exit that follows it."""
    one = OneRun().come_to(Phase.LAUNCHING)
    one.watching.launch_failed("exec: Exec format error (errno 8)")
    one.exit(127)
    one.close()
    cause = one.check(State.FAILED, "exec-failed")
    assert cause is not None
    assert "Exec format error (errno 8)" in cause.message
    assert one.job.exit == Exit(127)


@pytest.mark.parametrize("phase", [Phase.LAUNCHING, Phase.CONNECTING])
def test_never_listens(phase: Phase) -> None:
    """A load test that does not listen in time is ended."""
    one = OneRun().come_to(phase)
    one.clock.advance(one.bounds.start_seconds)
    end_by_sigterm(one)
    one.check(State.FAILED, "start-timeout")


def test_cannot_be_connected_to() -> None:
    """An address that can never be reached ends the job at once."""
    one = OneRun().come_to(Phase.CONNECTING)
    assert one.connecting is not None
    one.connecting.errback(DNSLookupError("no such host"))
    end_by_sigterm(one)
    one.check(State.FAILED, "connect-failed")


@pytest.mark.parametrize("phase", [Phase.LAUNCHING, Phase.CONNECTING, Phase.RUNNING])
@pytest.mark.parametrize(
    ("code", "number", "reason", "expected"),
    [
        (0, None, "exited", "code 0"),
        (3, None, "exited", "code 3"),
        (None, signal.SIGABRT, "signalled", "SIGABRT"),
        (None, 40, "signalled", "signal 40"),
    ],
)
def test_ends_early(
    phase: Phase, code: int | None, number: int | None, reason: str, expected: str
) -> None:
    """The reason has the code or signal, and the output is kept."""
    one = OneRun().come_to(phase)
    one.print_results(7)
    one.exit(code, number)
    one.print_results(1)
    one.close()
    cause = one.check(State.FAILED, reason)
    assert cause is not None
    assert expected in cause.message
    assert one.job.results.valid == 8


def test_the_connection_is_lost() -> None:
    """A load test that closes the connection and runs on is ended without another call."""
    one = OneRun().come_to(Phase.RUNNING)
    assert one.peer is not None
    one.answer()
    one.peer.close()
    one.clock.advance(one.bounds.connection_lost_seconds)
    one.pass_all_time()
    one.check(State.FAILED, "rpc-lost")
    assert (one.calls.ok, one.calls.in_flight) == (2, 2)


def test_the_connection_is_lost_in_an_exit() -> None:
    """When the exit follows the connection's end, the exit is the reason."""
    one = OneRun().come_to(Phase.RUNNING)
    assert one.peer is not None
    one.peer.close()
    one.clock.advance(one.bounds.connection_lost_seconds / 2)
    one.exit(None, signal.SIGSEGV)
    one.close()
    one.check(State.FAILED, "signalled")


def test_garbage() -> None:
    """A violation of the protocol is the reason, even if the load test exits next."""
    one = OneRun().come_to(Phase.RUNNING)
    assert one.peer is not None
    one.peer.send(b"\xfc\x40\0\0\0")
    one.exit(1)
    one.close()
    one.check(State.FAILED, "rpc-protocol")


def test_every_call_fails() -> None:
    """A run without one call that succeeded has failed, and quotes the last error."""
    one = OneRun().come_to(Phase.RUNNING)
    one.answer(2, "no such user")
    one.clock.advance(10)
    one.answer(2, "no such host")
    one.pass_all_time()
    cause = one.check(State.FAILED, "calls-failed")
    assert cause is not None
    assert "no such host" in cause.message
    assert one.calls.failed == 4


def test_no_call_returns() -> None:
    """A run whose calls were all accepted and never answered has failed."""
    one = OneRun().come_to(Phase.RUNNING)
    one.pass_all_time()
    one.check(State.FAILED, "calls-unanswered")


@pytest.mark.parametrize("phase", RUNNING)
def test_the_disk_fills_up(phase: Phase) -> None:
    """The run ends in any phase, and the written part of the log is counted."""
    one = OneRun().come_to(phase)
    one.log.room = len(RESULT) * 2 + 5
    one.print_results(5)
    one.watching.stderr(b"lost")
    one.print_results(1)
    if one.story[-1] == "SIGTERM" and not one.exited:
        end_by_sigterm(one)
    one.pass_all_time()
    one.check(State.FAILED, "disk-full")
    assert one.log.size == one.log.room
    assert (one.job.results.read, one.job.results.valid) == (3, 2)


def test_the_log_fails() -> None:
    """Other errors of stdout's or stderr's log have a reason of their own."""
    one = OneRun().come_to(Phase.RUNNING)
    one.log.room, one.log.errno = 0, errno.EIO
    one.watching.stderr(b"lost")
    end_by_sigterm(one)
    one.check(State.FAILED, "log-failed")


def test_the_end_of_stderr() -> None:
    """The job has it in every final state; `check` asserts it after each test."""
    one = OneRun().come_to(Phase.CONNECTING)
    one.watching.stderr(b"no such host")
    one.exit(1)
    one.watching.stderr(b", said at the end")
    one.close()
    one.check(State.FAILED, "exited")
    assert one.job.stderr_tail == "no such host, said at the end"


def test_a_stderr_that_cannot_be_read() -> None:
    """The job ends without it."""
    one = OneRun().come_to(Phase.RUNNING)
    one.watching.stderr(b"lost")
    one.log.tail_error = OSError(errno.EIO, "Input/output error")
    one.answer()
    one.pass_all_time()
    one.exit(1)
    one.close()
    one.pass_all_time()
    assert one.over
    assert (one.job.state.over, one.job.stderr_tail) == (True, "")


# A cancel, in every phase.


@pytest.mark.parametrize(
    ("cause", "state"),
    [(outcome.CANCELLED, State.CANCELLED), (outcome.AGENT_STOPPED, State.INTERRUPTED)],
    ids=["cancel", "stop"],
)
@pytest.mark.parametrize("phase", [Phase.PREPARING, *RUNNING])
def test_cancel(phase: Phase, cause: FailureReason, state: State) -> None:
    """In any phase a cancel ends the job in bounded time without another event."""
    one = OneRun().come_to(phase)
    one.run.cancel(cause)
    assert one.pass_all_time() <= cancel_seconds(one.bounds)
    if phase in (Phase.WAITING_FOR_OUTPUT, Phase.TERMINATING, Phase.CLOSING_PIPES):
        # Its work was done: the end was only hastened.
        one.check(State.FINISHED)
    elif phase is Phase.PREPARING and cause is outcome.AGENT_STOPPED:
        # It had not begun.
        one.check(State.QUEUED)
        assert one.run.fault is None
    else:
        one.check(state, cause.reason)


@pytest.mark.parametrize(
    "error", [CancelledError(), ConnectingCancelledError(REMOTE)], ids=["deferred", "endpoint"]
)
def test_cancel_while_preparing(error: Exception) -> None:
    """The preparation is cancelled without an error in the log."""
    one = OneRun()
    one.preparing = Deferred(lambda preparing: preparing.errback(error))
    one.start()
    one.run.cancel(outcome.CANCELLED)
    one.check(State.CANCELLED, "cancelled")
    assert one.story == ["over"]


def test_a_slow_disk_costs_no_call() -> None:
    """The load has its whole duration, however long the timeline took to be created."""
    one = OneRun(duration_seconds=2, members={"rate": 100})
    one.opening_seconds = 0.5
    one.come_to(Phase.RUNNING)
    one.clock.advance(1.99)
    assert one.job.state is State.RUNNING
    one.clock.advance(0.01)
    assert one.job.state is State.STOPPING
    assert one.calls.scheduled == 200


def test_cancel_keeps_the_order() -> None:
    """Calls that return soon after a cancel are counted, and their results are read."""
    one = OneRun().come_to(Phase.RUNNING)
    one.run.cancel(outcome.CANCELLED)
    assert one.job.state is State.STOPPING
    one.clock.advance(1)
    one.answer()
    one.clock.advance(0.5)
    one.print_results(2)
    one.clock.advance(1)
    end_by_sigterm(one)
    one.check(State.CANCELLED, "cancelled")
    assert (one.calls.ok, one.calls.in_flight, one.job.results.valid) == (2, 0, 2)


def test_cancel_shortens_the_wait() -> None:
    """A cancel shortens the timeout of returning calls, and a second one changes nothing."""
    one = OneRun().come_to(Phase.DRAINING_CALLS)
    one.run.cancel(outcome.CANCELLED)
    one.clock.advance(2)
    one.run.cancel(outcome.CANCELLED)
    one.clock.advance(1)
    one.clock.advance(1)
    assert one.story[-1] == "SIGTERM"


def test_the_first_cause_stands() -> None:
    """A cancel does not replace an earlier cause."""
    one = OneRun().come_to(Phase.CONNECTING)
    one.exit(3)
    one.run.cancel(outcome.CANCELLED)
    one.close()
    one.check(State.FAILED, "exited")


# After the end, and what breaks around it.


def test_late_events_change_nothing() -> None:
    """Events after the end, such as a late exit, are ignored."""
    one = OneRun().come_to(Phase.TERMINATING)
    one.pass_all_time()
    one.check(State.FINISHED)
    one.exit(None, signal.SIGKILL)
    one.close()
    one.run.cancel(outcome.CANCELLED)
    one.check(State.FINISHED)
    assert one.job.exit is None


def test_the_store_fails_in_mid_run(logged_errors: LoggedErrors) -> None:
    """A job that cannot be saved goes through all phases."""
    one = OneRun().come_to(Phase.CONNECTING)
    one.store_error = sqlite3.OperationalError("database or disk is full")
    one.connected()
    one.answer()
    one.clock.advance(10)
    one.answer()
    one.pass_all_time()
    assert one.over
    assert one.job.state is State.FINISHED
    assert one.story[-2:] == ["end", "over"]
    assert len(logged_errors.flush(sqlite3.OperationalError)) == 3


def test_the_store_fails_before_the_start(logged_errors: LoggedErrors) -> None:
    """A job whose start is not saved is not started."""
    one = OneRun()
    one.store_error = sqlite3.OperationalError("database or disk is full")
    one.prepared()
    one.start()
    assert one.story == ["cleanup", "begin", "end", "over"]
    assert one.job.cause is not None
    assert one.job.cause.reason == "internal-error"
    assert one.log.closed
    assert logged_errors.flush(sqlite3.OperationalError)


def test_errors_in_the_end(logged_errors: LoggedErrors) -> None:
    """An error in one step of the end prevents no other step."""
    one = OneRun().come_to(Phase.TERMINATING)

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    for step in ("end", "abandon_output", "cleanup"):
        setattr(one, step, broken)
    one.log.close = broken  # type: ignore[method-assign]
    one.pass_all_time()
    assert one.over
    assert (one.job.state, one.job.ended_at) == (State.FINISHED, NOW)
    assert len(logged_errors.flush(ZeroDivisionError)) == 3


# Anything that can happen, in any order in which it can.


def possible(one: OneRun, launched: list[bool]) -> dict[str, Callable[[], object]]:
    """Return the external events that are possible now."""
    things: dict[str, Callable[[], object]] = {
        "time": lambda: one.clock.advance(0.7),
        "much time": lambda: one.clock.advance(15),
        "cancel": lambda: one.run.cancel(outcome.CANCELLED),
        "agent stops": lambda: one.run.cancel(outcome.AGENT_STOPPED),
        "disk full": lambda: setattr(one.log, "room", one.log.size),
    }

    def launch(fails: bool) -> None:
        launched.append(True)
        if fails:
            one.watching.launch_failed("exec: No such file or directory (errno 2)")
        else:
            one.launched()

    if not one.preparing.called:
        things["prepared"] = one.prepared
        things["refused"] = lambda: one.preparing.errback(
            PreparationError(FailureReason("no", "No."))
        )
    abandoned = "abandon" in one.story
    if one.watcher is not None and not one.closed and not abandoned:
        things["prints"] = lambda: one.watching.stdout(RESULT + b"no result\n{")
        things["complains"] = lambda: one.watching.stderr(b"oh")
    if one.watcher is not None and not launched:
        things["launched"] = lambda: launch(False)
        things["exec fails"] = lambda: launch(True)
    if launched and not one.exited:
        things["exits"] = one.exit
        things["crashes"] = lambda: one.exit(None, signal.SIGSEGV)
    if one.exited and not one.closed:
        things["closes"] = one.close
    if one.connecting is not None and not one.connecting.called:
        things["accepts"] = one.connected
        things["unreachable"] = lambda: one.connecting.errback(DNSLookupError())  # type: ignore
    heard = one.peer is not None and one.peer.wire.producerState == "producing"
    if one.peer is not None and not one.peer.wire.is_closed and heard:
        things["garbage"] = lambda: one.peer.send(b"\xfc\x40\0\0\0")  # type: ignore[union-attr]
        things["hangs up"] = one.peer.close
        if one.peer.outstanding:
            things["answers"] = one.answer
            things["answers one"] = lambda: one.answer(1)
            things["fails one"] = lambda: one.answer(1, "no")
    return things


@settings(max_examples=500)
@given(data=st.data(), users=st.integers(1, 5), duration=st.sampled_from([0, 1, 20]))
def test_every_history_ends(data: st.DataObject, users: int, duration: int) -> None:
    """With any events, the run ends once in bounded time and leaves nothing behind."""
    one, launched = OneRun(users, duration).start(), list[bool]()
    for _ in range(data.draw(st.integers(0, 40), label="count")):
        things = possible(one, launched)
        # Events that let a run continue are more likely than those that end it.
        ordinary = [t for t in ("prepared", "launched", "accepts", "answers") if t in things]
        names = sorted(things) + ordinary * 8
        things[data.draw(st.sampled_from(names))]()
    if not one.over:
        one.pass_all_time()
    bounds = one.bounds
    most_seconds = (
        bounds.prepare_seconds
        + 2 * bounds.start_seconds
        + duration
        + bounds.connection_lost_seconds
        + bounds.drain_seconds
        + bounds.output_seconds
        + bounds.grace_seconds
        + bounds.pipes_seconds
        + bounds.kill_seconds
    )
    assert one.over
    cause = one.job.cause
    one.check(one.job.state, cause and cause.reason)
    if one.job.state is State.QUEUED:
        # Only the machine, or the agent's end before it began, puts a job back.
        assert "begin" not in one.story
        assert one.calls.started == one.job.results.read == 0
    else:
        assert one.job.state.over
    assert (cause is None) is (one.job.state in (State.FINISHED, State.QUEUED))
    # The clock moves on after an end too, by the steps of the history.
    assert one.ended_seconds <= most_seconds + 15 * 9
    for late in possible(one, launched).values():
        late()
    one.check(one.job.state, cause and cause.reason)


TOOLS = (
    *(
        "spawn",
        "connect",
        "look",
        "save",
        "begin",
        "on_appended",
        "end",
        "space",
        "statistics",
        "thread",
    ),
    *("cleanup", "stdout", "stderr", "tail", "close", "terminate", "kill", "abandon"),
)
ERRORS = (
    *(OSError(n, os.strerror(n)) for n in (errno.EAGAIN, errno.EMFILE, errno.ENOSPC, errno.EIO)),
    *(RuntimeError("can't start new thread"), MemoryError(), ZeroDivisionError("a bug")),
    *(ProcessLookupError(errno.ESRCH, "No such process"), RecursionError(), UnicodeError()),
)


@pytest.fixture
def silent_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drop what is logged."""
    monkeypatch.setattr(Logger, "emit", lambda *_, **__: None)


@pytest.mark.usefixtures("silent_log")
@settings(max_examples=500, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.data(),
    duration=st.sampled_from([0, 1, 20]),
    failing=st.dictionaries(st.sampled_from(TOOLS), st.sampled_from(ERRORS), max_size=4),
)
def test_every_history_ends_despite_errors(
    data: st.DataObject, duration: int, failing: dict[str, Exception]
) -> None:
    """With any failing dependencies, the run ends in bounded time."""
    one, launched = OneRun(2, duration), list[bool]()
    one.failing = {} if data.draw(st.booleans(), label="later") else failing
    one.start()
    for _ in range(data.draw(st.integers(0, 20), label="count")):
        things = possible(one, launched)
        ordinary = [t for t in ("prepared", "launched", "accepts", "answers") if t in things]
        things["breaks"] = lambda: one.failing.update(failing)
        things["is repaired"] = one.failing.clear
        things[data.draw(st.sampled_from(sorted(things) + ordinary * 8))]()
    one.failing.update(failing)
    one.run.cancel(outcome.CANCELLED)
    assert one.pass_all_time() <= cancel_seconds(one.bounds)
    assert one.over
    assert one.job.state.over or one.job.state is State.QUEUED
    assert one.job.state is not State.QUEUED or one.calls.started == 0
    assert one.clock.getDelayedCalls() == []
    if one.run._recorder is not None:
        assert one.log.closed


def test_the_statistics_of_a_run() -> None:
    """They grow with the output, and are stored once at the end."""
    one = OneRun().come_to(Phase.CLOSING_PIPES)
    one.print_results(3)
    assert one.run.statistics.results == 3
    assert one.summaries == []
    one.watching.stdout(RESULT[:-1])
    one.close()
    one.check(State.FINISHED)
    (summary,) = one.summaries
    assert summary.results == one.job.results.valid == 4


def test_statistics_that_cannot_be_stored() -> None:
    """The job is finished without them."""
    one = OneRun()
    one.statistics_error = OSError(errno.ENOSPC, "full")
    one.come_to(Phase.OVER)
    one.check(State.FINISHED)


# Counting takes its time.


@pytest.fixture
def slow_counting(monkeypatch: pytest.MonkeyPatch) -> Callable[[OneRun, int], None]:
    """Make the count of each block of stdout take a number of turns."""
    feeding = LineCounter.feed_steps

    def slow(one: OneRun, turns: int) -> None:
        def slowly(counter: LineCounter, data: bytes) -> Iterator[None]:
            for _ in range(turns if counter is one.writer.line_counter else 0):
                one.clock.rightNow += TURN_SECONDS
                yield
            yield from feeding(counter, data)

        monkeypatch.setattr(LineCounter, "feed_steps", slowly)

    return slow


def test_slow_counting_pauses_stdout(
    slow_counting: Callable[[OneRun, int], None],
) -> None:
    """Output is written at once; while it is counted, stdout is paused."""
    one = OneRun(duration_seconds=100).come_to(Phase.RUNNING)
    slow_counting(one, 3)
    one.print_results(2)
    assert one.log.out == RESULT * 2
    assert (one.job.results.read, one.story[-1]) == (0, "pause")
    one.clock.advance(0)
    assert (one.job.results.read, one.story[-1]) == (2, "resume")


def test_stdout_is_not_idle_while_it_is_counted(
    slow_counting: Callable[[OneRun, int], None],
) -> None:
    """The quiet period does not elapse while output is counted."""
    one = OneRun().come_to(Phase.WAITING_FOR_OUTPUT)
    slow_counting(one, 150)  # of which 100 are a second
    one.print_results(1)
    one.clock.advance(0)
    assert one.story[-2:] == ["pause", "resume"]
    one.pass_all_time()
    one.check(State.FINISHED)
    assert one.job.results.valid == 1


@pytest.mark.parametrize("phase", [Phase.RUNNING, Phase.CLOSING_PIPES])
def test_all_is_counted_before_the_job_is_over(
    slow_counting: Callable[[OneRun, int], None], phase: Phase
) -> None:
    """The last output in the pipe and a line without a newline are counted too."""
    one = OneRun().come_to(phase)
    slow_counting(one, 5)
    one.print_results(3)
    one.read_rest = lambda: one.watching.stdout(RESULT + RESULT[:-1])  # type: ignore[method-assign]
    if phase is Phase.RUNNING:
        one.answer()
        one.exit()
    one.close()
    assert not one.over
    one.pass_all_time()
    one.check(one.job.state, one.job.cause and one.job.cause.reason)
    assert one.job.state.over
    assert one.job.results.valid == 5


def test_an_error_in_counting(logged_errors: LoggedErrors, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends the job as `internal-error`."""
    one = OneRun().come_to(Phase.RUNNING)

    def broken(counter: LineCounter, data: bytes) -> Iterator[None]:
        raise ZeroDivisionError
        yield

    monkeypatch.setattr(LineCounter, "feed_steps", broken)
    one.print_results(1)
    one.pass_all_time()
    assert one.over
    assert (one.job.cause and one.job.cause.reason) == "internal-error"
    assert logged_errors.flush(ZeroDivisionError)
