"""The transitions of a run as a table: (phase, event) to the next phase and actions. Pure.

docs/lifecycle.md is rendered from this module.
"""

from __future__ import annotations

from enum import Enum

import attrs

from goloagent.jobs.job import State


class Phase(Enum):
    """A phase of a run, with the job's state in it (None: the outcome decides)."""

    PREPARING = ("preparing", State.QUEUED)
    LAUNCHING = ("launching", State.STARTING)
    CONNECTING = ("connecting", State.STARTING)
    RUNNING = ("running", State.RUNNING)
    SELF_DRIVEN = ("self-driven", State.RUNNING)
    DRAINING_CALLS = ("draining-calls", State.STOPPING)
    WAITING_FOR_OUTPUT = ("waiting-for-output", State.STOPPING)
    CONNECTION_LOST = ("connection-lost", State.STOPPING)
    TERMINATING = ("terminating", State.STOPPING)
    CLOSING_PIPES = ("closing-pipes", State.STOPPING)
    KILLING = ("killing", State.STOPPING)
    OVER = ("over", None)

    state: State | None

    def __init__(self, _: str, state: State | None) -> None:
        self.state = state


class Event(Enum):
    """An event of a run."""

    PREPARED = "the program, the directory and the log are ready"
    PREPARATION_FAILED = "the run cannot be started"
    LAUNCHED = "the program is executed"
    SELF_LAUNCHED = "the program, which drives itself, is executed"
    FAILED = "the run cannot continue"
    CONNECTED = "the RPC connection is established"
    CONNECTION_LOST = "the RPC connection is lost"
    CALLS_DRAINED = "no call is in flight"
    OUTPUT_IDLE = "stdout is idle"
    EXITED = "the process has exited"
    CLOSED = "the process has exited and its pipes are read to their end"
    TIMEOUT = "the timeout of the phase has expired"
    CANCEL = "a client cancels the job, or the agent stops"


class Action(Enum):
    """An action of a run."""

    SPAWN = "start the program"
    CONNECT = "connect to the RPC address, with back-off"
    MEASURE = "begin the timeline, and measure each second"
    DRIVE = "start calls as the load profile plans them"
    STOP_CALLING = "issue no further calls"
    HANG_UP = "close the RPC connection, or stop connecting"
    WATCH_STDOUT = "wait until stdout is idle"
    TERMINATE = "SIGTERM to the process group"
    KILL = "SIGKILL to the process group"
    ABANDON = "cancel the preparation"
    END = "end the job, or requeue it"


@attrs.frozen
class Transition:
    """The next phase, and the actions to perform in order."""

    phase: Phase
    actions: tuple[Action, ...] = ()


def _to(phase: Phase, *actions: Action) -> Transition:
    return Transition(phase, actions)


P, E, A = Phase, Event, Action

_TERMINATE = _to(P.TERMINATING, A.HANG_UP, A.TERMINATE)
_CLOSE_PIPES = _to(P.CLOSING_PIPES, A.HANG_UP, A.TERMINATE)
_WAIT_FOR_OUTPUT = _to(P.WAITING_FOR_OUTPUT, A.WATCH_STDOUT)
_END = _to(P.OVER, A.END)

TRANSITIONS: dict[tuple[Phase, Event], Transition] = {
    # There is no process.
    (P.PREPARING, E.PREPARED): _to(P.LAUNCHING, A.SPAWN),
    (P.PREPARING, E.PREPARATION_FAILED): _END,
    (P.PREPARING, E.TIMEOUT): _to(P.OVER, A.ABANDON, A.END),
    (P.PREPARING, E.CANCEL): _to(P.OVER, A.ABANDON, A.END),
    # The launcher runs; it executes the load test next.
    (P.LAUNCHING, E.LAUNCHED): _to(P.CONNECTING, A.CONNECT),
    (P.LAUNCHING, E.PREPARATION_FAILED): _END,
    (P.LAUNCHING, E.FAILED): _TERMINATE,
    (P.LAUNCHING, E.EXITED): _CLOSE_PIPES,
    (P.LAUNCHING, E.TIMEOUT): _TERMINATE,
    (P.LAUNCHING, E.CANCEL): _TERMINATE,
    # The load test runs and does not listen yet.
    (P.CONNECTING, E.CONNECTED): _to(P.RUNNING, A.MEASURE, A.DRIVE),
    (P.CONNECTING, E.FAILED): _TERMINATE,
    (P.CONNECTING, E.EXITED): _CLOSE_PIPES,
    (P.CONNECTING, E.TIMEOUT): _TERMINATE,
    (P.CONNECTING, E.CANCEL): _TERMINATE,
    # Load.
    (P.RUNNING, E.TIMEOUT): _to(P.DRAINING_CALLS, A.STOP_CALLING),
    (P.RUNNING, E.CANCEL): _to(P.DRAINING_CALLS, A.STOP_CALLING),
    (P.RUNNING, E.CONNECTION_LOST): _to(P.CONNECTION_LOST),
    (P.RUNNING, E.FAILED): _TERMINATE,
    (P.RUNNING, E.EXITED): _CLOSE_PIPES,
    # The program drives itself (drive "self"), until it exits or its time is over.
    (P.LAUNCHING, E.SELF_LAUNCHED): _to(P.SELF_DRIVEN, A.MEASURE),
    (P.SELF_DRIVEN, E.TIMEOUT): _TERMINATE,
    (P.SELF_DRIVEN, E.CANCEL): _TERMINATE,
    (P.SELF_DRIVEN, E.FAILED): _TERMINATE,
    (P.SELF_DRIVEN, E.EXITED): _CLOSE_PIPES,
    # The ordered end: calls return, then stdout is idle.
    (P.DRAINING_CALLS, E.CALLS_DRAINED): _WAIT_FOR_OUTPUT,
    (P.DRAINING_CALLS, E.TIMEOUT): _WAIT_FOR_OUTPUT,
    (P.DRAINING_CALLS, E.CANCEL): _to(P.DRAINING_CALLS),
    (P.DRAINING_CALLS, E.CONNECTION_LOST): _WAIT_FOR_OUTPUT,
    (P.DRAINING_CALLS, E.FAILED): _TERMINATE,
    (P.DRAINING_CALLS, E.EXITED): _CLOSE_PIPES,
    (P.WAITING_FOR_OUTPUT, E.OUTPUT_IDLE): _TERMINATE,
    (P.WAITING_FOR_OUTPUT, E.TIMEOUT): _TERMINATE,
    (P.WAITING_FOR_OUTPUT, E.CANCEL): _to(P.WAITING_FOR_OUTPUT),
    (P.WAITING_FOR_OUTPUT, E.CALLS_DRAINED): _to(P.WAITING_FOR_OUTPUT),
    (P.WAITING_FOR_OUTPUT, E.CONNECTION_LOST): _to(P.WAITING_FOR_OUTPUT),
    (P.WAITING_FOR_OUTPUT, E.FAILED): _TERMINATE,
    (P.WAITING_FOR_OUTPUT, E.EXITED): _CLOSE_PIPES,
    # The connection is lost: an exit that follows at once is the better reason.
    (P.CONNECTION_LOST, E.EXITED): _CLOSE_PIPES,
    (P.CONNECTION_LOST, E.TIMEOUT): _WAIT_FOR_OUTPUT,
    (P.CONNECTION_LOST, E.CANCEL): _to(P.CONNECTION_LOST),
    (P.CONNECTION_LOST, E.FAILED): _TERMINATE,
    # SIGTERM is sent: the process and its children end, the pipes are read to their end.
    (P.TERMINATING, E.LAUNCHED): _to(P.TERMINATING),
    (P.TERMINATING, E.SELF_LAUNCHED): _to(P.TERMINATING),
    (P.TERMINATING, E.EXITED): _to(P.CLOSING_PIPES),
    (P.TERMINATING, E.TIMEOUT): _to(P.KILLING, A.KILL),
    (P.TERMINATING, E.CANCEL): _to(P.TERMINATING),
    (P.TERMINATING, E.FAILED): _to(P.TERMINATING),
    (P.CLOSING_PIPES, E.CLOSED): _to(P.OVER, A.KILL, A.END),
    (P.CLOSING_PIPES, E.TIMEOUT): _to(P.KILLING, A.KILL),
    (P.CLOSING_PIPES, E.CANCEL): _to(P.CLOSING_PIPES),
    (P.CLOSING_PIPES, E.FAILED): _to(P.CLOSING_PIPES),
    (P.KILLING, E.LAUNCHED): _to(P.KILLING),
    (P.KILLING, E.SELF_LAUNCHED): _to(P.KILLING),
    (P.KILLING, E.EXITED): _to(P.KILLING),
    (P.KILLING, E.CLOSED): _END,
    (P.KILLING, E.TIMEOUT): _END,
    (P.KILLING, E.CANCEL): _to(P.KILLING),
    (P.KILLING, E.FAILED): _to(P.KILLING),
}

# Phases in which a cancel only shortens the end, because no call is waited for.
ALL_CALLS_RETURNED = frozenset({P.WAITING_FOR_OUTPUT, P.TERMINATING, P.CLOSING_PIPES, P.KILLING})

# Phases in which there is load.
LOADED = frozenset({P.RUNNING, P.SELF_DRIVEN})


class ImpossibleEvent(Exception):
    """The table has no row for this phase and event: a defect of the caller."""


def next_transition(phase: Phase, event: Event) -> Transition:
    """Look up the transition.

    Raises:
        ImpossibleEvent: the pair is not in the table.
    """
    try:
        return TRANSITIONS[phase, event]
    except KeyError:
        raise ImpossibleEvent(f"{event.name} cannot happen while {phase.name}") from None
