"""The outcome of a run: the causes of its end, and the job's final state. Pure.

The first cause of a run counts; its consequences do not.
"""

from __future__ import annotations

from collections.abc import Iterator

from goloagent.core.host_fault import SLOW_DISK, HostFault, status_of
from goloagent.jobs.job import CallCounts, Exit, FailureReason, Job, State
from goloagent.runs.transitions import Event, Phase

CANCELLED = FailureReason("cancelled", "The job was cancelled.")
AGENT_STOPPED = FailureReason("agent-stopped", "The agent was stopped while the job ran.")
AGENT_RESTART = FailureReason(
    "agent-restart", "The agent ended unexpectedly while the job ran; it is not run again."
)

_STATES = {
    "threshold": State.FINISHED,
    "cancelled": State.CANCELLED,
    "agent-stopped": State.INTERRUPTED,
    "agent-restart": State.INTERRUPTED,
    "state-lost": State.INTERRUPTED,
}
_MUST_SERVE = (
    "it must serve net/rpc on the address in GOLO_RPC_ADDR, as the SDK and the load tests of "
    '`golo new` do. If it makes its own load, use "drive": "self", or `golo run --drive self`; if '
    "it is a command to repeat, use `golo run --exec -- COMMAND`"
)
_STARTING = {Phase.LAUNCHING, Phase.CONNECTING}
_BUSY = {*_STARTING, Phase.RUNNING, Phase.CONNECTION_LOST}
_MAY_EXIT = {Phase.SELF_DRIVEN, Phase.DRAINING_CALLS, Phase.WAITING_FOR_OUTPUT}


def failure_for(
    phase: Phase, event: Event, seconds: float, exit_: Exit | None
) -> FailureReason | None:
    """Return the cause that `event` is, or None if it is part of an ordered run.

    Args:
        seconds: the timeout of the phase.
        exit_: how the process ended, if it has.
    """
    if event is Event.EXITED and exit_ is not None:
        # An exit without SIGTERM is too early while there is work; later only a crash is a cause.
        if phase in _BUSY or (phase in _MAY_EXIT and exit_.code != 0):
            return _early(phase, exit_)
    elif event is Event.TIMEOUT:
        if phase is Phase.PREPARING:
            return from_host(
                HostFault(SLOW_DISK, f"A job could not be prepared within {seconds:g} s.")
            )
        if phase in _STARTING:
            return FailureReason(
                "start-timeout",
                f"The load test did not listen within {seconds:g} s: {_MUST_SERVE}.",
            )
        if phase is Phase.CONNECTION_LOST:
            return FailureReason(
                "rpc-lost", "The load test closed the RPC connection and went on running."
            )
    return None


def final_state(
    cause: FailureReason | None, calls: CallCounts, last_error: str | None
) -> tuple[State, FailureReason | None]:
    """Return the state and cause of a job whose run is over."""
    if cause is not None and cause.requeue:
        return State.QUEUED, None
    if cause is None and calls.started and not calls.ok:
        if calls.failed:
            cause = FailureReason(
                "calls-failed", f"Every call failed. The last error: {last_error}"
            )
        else:
            cause = FailureReason(
                "calls-unanswered", "The load test accepted calls and answered none."
            )
    if cause is None:
        return State.FINISHED, None
    return _STATES.get(cause.reason, State.FAILED), cause


def warnings(job: Job, is_cut: bool) -> Iterator[str]:
    """Yield sentences about probable defects of the load test of a job that is over.

    Args:
        is_cut: whether the last line of stdout had no newline.
    """
    results, ok = job.results, job.calls.ok
    if job.invalid_line is not None:
        yield (
            f"{results.invalid:,} of {results.read:,} lines of stdout are no results. The first is"
            f" line {job.invalid_line.number:,}: {job.invalid_line.reason}."
        )
    # A load test with a buffered stdout loses the last buffer.
    ran_in_order = job.cause is None or job.state is State.CANCELLED
    if ran_in_order and results.read < ok and (2 * results.read < ok or is_cut):
        cut = ", and the last line is cut" if is_cut else ""
        yield (
            f"{ok:,} calls returned but only {results.read:,} lines were printed{cut}: the load"
            " test must flush stdout after each result, and before it ends at SIGTERM."
        )


def from_host(fault: HostFault) -> FailureReason:
    """Return the cause of a run that the host does not allow at present."""
    return FailureReason(fault.status, fault.sentence, requeue=True)


def host_fault(cause: FailureReason | None) -> HostFault | None:
    """Return the fault of the host that requeues a job, or None."""
    if cause is None or not cause.requeue or cause.reason == AGENT_STOPPED.reason:
        return None
    return HostFault(cause.reason, cause.message)


def from_error(error: Exception, reason: str, what: str) -> FailureReason:
    """Return the cause of a run that cannot start: the host, `reason`, or a defect."""
    status = status_of(error)
    if status is not None:
        return from_host(HostFault(status, f"{what}: {error}."))
    if isinstance(error, OSError):
        return FailureReason(reason, f"{what}: {error}.")
    return defect(what, error)


def defect(what: str, error: Exception) -> FailureReason:
    """Return the cause of a run that a defect of the agent has ended."""
    return FailureReason("internal-error", f"{what}: {type(error).__name__}: {error}.")


def _early(phase: Phase, exit_: Exit) -> FailureReason:
    when = "before it listened" if phase in _STARTING else "while the job ran"
    hint = f": {_MUST_SERVE}" if phase in _STARTING else ""
    if exit_.signal is not None:
        return FailureReason(
            "signalled", f"The load test was ended by {exit_.signal} {when}{hint}."
        )
    return FailureReason("exited", f"The load test exited with code {exit_.code} {when}{hint}.")
