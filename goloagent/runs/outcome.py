"""Why a job ended as it did: causes with their sentences, and the state they add up to.

The first cause of a run stands; what follows from it changes nothing. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator

from goloagent.core.host_fault import SLOW_DISK, HostFault
from goloagent.jobs.job import CallCounts, Exit, FailureReason, Job, State
from goloagent.runs.transitions import Event, Phase

CANCELLED = FailureReason("cancelled", "The job was cancelled.")
AGENT_STOPPED = FailureReason("agent-stopped", "The agent was stopped while the job ran.")
AGENT_RESTART = FailureReason(
    "agent-restart", "The agent ended unexpectedly while the job ran; it is not run again."
)


_STATES = {
    "cancelled": State.CANCELLED,
    "agent-stopped": State.INTERRUPTED,
    "agent-restart": State.INTERRUPTED,
    "state-lost": State.INTERRUPTED,
}
_MUST_SERVE = "it must serve net/rpc on the address in GOLO_RPC_ADDR, see docs/protocol.md"
_STARTING = {Phase.LAUNCHING, Phase.CONNECTING}
_BUSY = {*_STARTING, Phase.RUNNING, Phase.CONNECTION_LOST}
_ENDING = {Phase.DRAINING_CALLS, Phase.WAITING_FOR_OUTPUT}


def failure_for(
    phase: Phase, event: Event, seconds: float, exit_: Exit | None
) -> FailureReason | None:
    """Return what `event` means as the cause of an end, or None when it is part of an ordered one.

    Args:
        seconds: how long the phase was allowed to last.
        exit_: how the process ended, when it has.
    """
    if event is Event.EXITED and exit_ is not None:
        # An end by itself is early while there is work, and only a crash afterwards.
        if phase in _BUSY or (phase in _ENDING and exit_.code != 0):
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
    if cause is None and not calls.ok:
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
    """Give sentences on what is probably wrong with the load test of a job that is over.

    Args:
        is_cut: whether the last line of stdout had no newline.
    """
    results, ok = job.results, job.calls.ok
    if job.invalid_line is not None:
        yield (
            f"{results.invalid:,} of {results.read:,} lines of stdout are no results. The first is"
            f" line {job.invalid_line.number:,}: {job.invalid_line.reason}."
        )
    # A load test that prints into a buffer of 4 KiB or more and loses the last one.
    went_its_way = job.cause is None or job.state is State.CANCELLED
    if went_its_way and results.read < ok and (2 * results.read < ok or is_cut):
        cut = ", and the last line is cut" if is_cut else ""
        yield (
            f"{ok:,} calls returned but only {results.read:,} lines were printed{cut}: the load"
            " test must flush stdout after each result, and before it ends at SIGTERM."
        )


def from_host(fault: HostFault) -> FailureReason:
    """Return the cause of a run that the machine does not allow at present."""
    return FailureReason(fault.status, fault.sentence, requeue=True)


def _early(phase: Phase, exit_: Exit) -> FailureReason:
    when = "before it listened" if phase in _STARTING else "before it was told to"
    hint = f": {_MUST_SERVE}" if phase in _STARTING else ""
    if exit_.signal is not None:
        return FailureReason(
            "signalled", f"The load test was ended by {exit_.signal} {when}{hint}."
        )
    return FailureReason("exited", f"The load test exited with code {exit_.code} {when}{hint}.")
