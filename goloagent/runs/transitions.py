"""The life of a job as a table: (phase, event) to the next phase and what to do.

Pure data and one look-up. What an effect means, and how long a phase may last, is for whoever
performs it; a pair that is not in the table cannot happen, and says so when it does.
docs/lifecycle.md is rendered from here.
"""

from __future__ import annotations

from enum import Enum

import attrs

from goloagent.jobs.job import State


class Phase(Enum):
    """Where a run stands, with the job's state meanwhile (None: the outcome decides it)."""

    PREPARING = ("preparing", State.QUEUED)
    LAUNCHING = ("launching", State.STARTING)
    CONNECTING = ("connecting", State.STARTING)
    RUNNING = ("running", State.RUNNING)
    DRAINING_CALLS = ("returning", State.STOPPING)
    WAITING_FOR_OUTPUT = ("settling", State.STOPPING)
    CONNECTION_LOST = ("parting", State.STOPPING)
    TERMINATING = ("terminating", State.STOPPING)
    CLOSING_PIPES = ("draining", State.STOPPING)
    KILLING = ("killing", State.STOPPING)
    OVER = ("over", None)

    state: State | None

    def __init__(self, _: str, state: State | None) -> None:
        self.state = state


class Event(Enum):
    """What can happen to a run."""

    PREPARED = "everything a run needs is there"
    PREPARATION_FAILED = "it cannot be started"
    LAUNCHED = "the program runs"
    FAILED = "it cannot go on"
    CONNECTED = "the RPC connection stands"
    CONNECTION_LOST = "the RPC connection is gone"
    CALLS_DRAINED = "no call is in flight"
    OUTPUT_IDLE = "stdout has fallen quiet"
    EXITED = "the process has ended"
    CLOSED = "the process has ended and its pipes are read to their end"
    TIMEOUT = "the phase has lasted as long as it may"
    CANCEL = "somebody wants it to end"


class Action(Enum):
    """What is to be done, in the table's order."""

    SPAWN = "start the program"
    CONNECT = "connect to its RPC address, with back-off"
    DRIVE = "keep the users' calls outstanding"
    STOP_CALLING = "make no further call"
    HANG_UP = "drop the RPC connection, or the attempt at one"
    WATCH_STDOUT = "tell when stdout falls quiet"
    TERMINATE = "SIGTERM to the process group"
    KILL = "SIGKILL to the process group"
    ABANDON = "stop preparing"
    END = "settle the account, or put the job back into the queue; go on to the next one"


@attrs.frozen
class Transition:
    """What follows from an event: the next phase, and effects in order."""

    phase: Phase
    effects: tuple[Action, ...] = ()


def _step(phase: Phase, *effects: Action) -> Transition:
    return Transition(phase, effects)


P, E, F = Phase, Event, Action

_TERMINATE = _step(P.TERMINATING, F.HANG_UP, F.TERMINATE)
_DRAIN = _step(P.CLOSING_PIPES, F.HANG_UP, F.TERMINATE)
_SETTLE = _step(P.WAITING_FOR_OUTPUT, F.WATCH_STDOUT)
_END = _step(P.OVER, F.END)

TRANSITIONS: dict[tuple[Phase, Event], Transition] = {
    # Nothing runs yet.
    (P.PREPARING, E.PREPARED): _step(P.LAUNCHING, F.SPAWN),
    (P.PREPARING, E.PREPARATION_FAILED): _END,
    (P.PREPARING, E.TIMEOUT): _step(P.OVER, F.ABANDON, F.END),
    (P.PREPARING, E.CANCEL): _step(P.OVER, F.ABANDON, F.END),
    # The launcher runs and is about to become the load test.
    (P.LAUNCHING, E.LAUNCHED): _step(P.CONNECTING, F.CONNECT),
    (P.LAUNCHING, E.PREPARATION_FAILED): _END,
    (P.LAUNCHING, E.FAILED): _TERMINATE,
    (P.LAUNCHING, E.EXITED): _DRAIN,
    (P.LAUNCHING, E.TIMEOUT): _TERMINATE,
    (P.LAUNCHING, E.CANCEL): _TERMINATE,
    # The load test runs and is not yet listening.
    (P.CONNECTING, E.CONNECTED): _step(P.RUNNING, F.DRIVE),
    (P.CONNECTING, E.FAILED): _TERMINATE,
    (P.CONNECTING, E.EXITED): _DRAIN,
    (P.CONNECTING, E.TIMEOUT): _TERMINATE,
    (P.CONNECTING, E.CANCEL): _TERMINATE,
    # Load.
    (P.RUNNING, E.TIMEOUT): _step(P.DRAINING_CALLS, F.STOP_CALLING),
    (P.RUNNING, E.CANCEL): _step(P.DRAINING_CALLS, F.STOP_CALLING),
    (P.RUNNING, E.CONNECTION_LOST): _step(P.CONNECTION_LOST),
    (P.RUNNING, E.FAILED): _TERMINATE,
    (P.RUNNING, E.EXITED): _DRAIN,
    # The ordered end: calls return, stdout falls quiet.
    (P.DRAINING_CALLS, E.CALLS_DRAINED): _SETTLE,
    (P.DRAINING_CALLS, E.TIMEOUT): _SETTLE,
    (P.DRAINING_CALLS, E.CANCEL): _step(P.DRAINING_CALLS),
    (P.DRAINING_CALLS, E.CONNECTION_LOST): _SETTLE,
    (P.DRAINING_CALLS, E.FAILED): _TERMINATE,
    (P.DRAINING_CALLS, E.EXITED): _DRAIN,
    (P.WAITING_FOR_OUTPUT, E.OUTPUT_IDLE): _TERMINATE,
    (P.WAITING_FOR_OUTPUT, E.TIMEOUT): _TERMINATE,
    (P.WAITING_FOR_OUTPUT, E.CANCEL): _step(P.WAITING_FOR_OUTPUT),
    (P.WAITING_FOR_OUTPUT, E.CALLS_DRAINED): _step(P.WAITING_FOR_OUTPUT),
    (P.WAITING_FOR_OUTPUT, E.CONNECTION_LOST): _step(P.WAITING_FOR_OUTPUT),
    (P.WAITING_FOR_OUTPUT, E.FAILED): _TERMINATE,
    (P.WAITING_FOR_OUTPUT, E.EXITED): _DRAIN,
    # The connection broke: an exit that follows at once is the better reason.
    (P.CONNECTION_LOST, E.EXITED): _DRAIN,
    (P.CONNECTION_LOST, E.TIMEOUT): _SETTLE,
    (P.CONNECTION_LOST, E.CANCEL): _step(P.CONNECTION_LOST),
    (P.CONNECTION_LOST, E.FAILED): _TERMINATE,
    # SIGTERM was sent: the process ends, what it started ends, the pipes are read to their end.
    (P.TERMINATING, E.LAUNCHED): _step(P.TERMINATING),
    (P.TERMINATING, E.EXITED): _step(P.CLOSING_PIPES),
    (P.TERMINATING, E.TIMEOUT): _step(P.KILLING, F.KILL),
    (P.TERMINATING, E.CANCEL): _step(P.TERMINATING),
    (P.TERMINATING, E.FAILED): _step(P.TERMINATING),
    (P.CLOSING_PIPES, E.CLOSED): _step(P.OVER, F.KILL, F.END),
    (P.CLOSING_PIPES, E.TIMEOUT): _step(P.KILLING, F.KILL),
    (P.CLOSING_PIPES, E.CANCEL): _step(P.CLOSING_PIPES),
    (P.CLOSING_PIPES, E.FAILED): _step(P.CLOSING_PIPES),
    (P.KILLING, E.LAUNCHED): _step(P.KILLING),
    (P.KILLING, E.EXITED): _step(P.KILLING),
    (P.KILLING, E.CLOSED): _END,
    (P.KILLING, E.TIMEOUT): _END,
    (P.KILLING, E.CANCEL): _step(P.KILLING),
    (P.KILLING, E.FAILED): _step(P.KILLING),
}

# Where no call is waited for any more: to cancel then only hastens the end.
WORK_IS_DONE = frozenset({P.WAITING_FOR_OUTPUT, P.TERMINATING, P.CLOSING_PIPES, P.KILLING})


class ImpossibleEvent(Exception):
    """The table has no row for this phase and event: a bug in whoever reports events."""


def next_transition(phase: Phase, event: Event) -> Transition:
    """Look up what follows.

    Raises:
        ImpossibleEvent: the pair is not in the table.
    """
    try:
        return TRANSITIONS[phase, event]
    except KeyError:
        raise ImpossibleEvent(f"{event.name} cannot happen while {phase.name}") from None
