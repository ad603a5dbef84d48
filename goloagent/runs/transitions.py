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
    RETURNING = ("returning", State.STOPPING)
    SETTLING = ("settling", State.STOPPING)
    PARTING = ("parting", State.STOPPING)
    TERMINATING = ("terminating", State.STOPPING)
    DRAINING = ("draining", State.STOPPING)
    KILLING = ("killing", State.STOPPING)
    OVER = ("over", None)

    state: State | None

    def __init__(self, _: str, state: State | None) -> None:
        self.state = state


class Event(Enum):
    """What can happen to a run."""

    PREPARED = "everything a run needs is there"
    REFUSED = "it cannot be started"
    LAUNCHED = "the program runs"
    FAULT = "it cannot go on"
    CONNECTED = "the RPC connection stands"
    LOST = "the RPC connection is gone"
    RETURNED = "no call is in flight"
    QUIET = "stdout has fallen quiet"
    EXITED = "the process has ended"
    CLOSED = "the process has ended and its pipes are read to their end"
    TIMEOUT = "the phase has lasted as long as it may"
    CANCEL = "somebody wants it to end"


class Effect(Enum):
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
class Step:
    """What follows from an event: the next phase, and effects in order."""

    phase: Phase
    effects: tuple[Effect, ...] = ()


def _step(phase: Phase, *effects: Effect) -> Step:
    return Step(phase, effects)


P, E, F = Phase, Event, Effect

_TERMINATE = _step(P.TERMINATING, F.HANG_UP, F.TERMINATE)
_DRAIN = _step(P.DRAINING, F.HANG_UP, F.TERMINATE)
_SETTLE = _step(P.SETTLING, F.WATCH_STDOUT)
_END = _step(P.OVER, F.END)

TABLE: dict[tuple[Phase, Event], Step] = {
    # Nothing runs yet.
    (P.PREPARING, E.PREPARED): _step(P.LAUNCHING, F.SPAWN),
    (P.PREPARING, E.REFUSED): _END,
    (P.PREPARING, E.TIMEOUT): _step(P.OVER, F.ABANDON, F.END),
    (P.PREPARING, E.CANCEL): _step(P.OVER, F.ABANDON, F.END),
    # The launcher runs and is about to become the load test.
    (P.LAUNCHING, E.LAUNCHED): _step(P.CONNECTING, F.CONNECT),
    (P.LAUNCHING, E.REFUSED): _END,
    (P.LAUNCHING, E.FAULT): _TERMINATE,
    (P.LAUNCHING, E.EXITED): _DRAIN,
    (P.LAUNCHING, E.TIMEOUT): _TERMINATE,
    (P.LAUNCHING, E.CANCEL): _TERMINATE,
    # The load test runs and is not yet listening.
    (P.CONNECTING, E.CONNECTED): _step(P.RUNNING, F.DRIVE),
    (P.CONNECTING, E.FAULT): _TERMINATE,
    (P.CONNECTING, E.EXITED): _DRAIN,
    (P.CONNECTING, E.TIMEOUT): _TERMINATE,
    (P.CONNECTING, E.CANCEL): _TERMINATE,
    # Load.
    (P.RUNNING, E.TIMEOUT): _step(P.RETURNING, F.STOP_CALLING),
    (P.RUNNING, E.CANCEL): _step(P.RETURNING, F.STOP_CALLING),
    (P.RUNNING, E.LOST): _step(P.PARTING),
    (P.RUNNING, E.FAULT): _TERMINATE,
    (P.RUNNING, E.EXITED): _DRAIN,
    # The ordered end: calls return, stdout falls quiet.
    (P.RETURNING, E.RETURNED): _SETTLE,
    (P.RETURNING, E.TIMEOUT): _SETTLE,
    (P.RETURNING, E.CANCEL): _step(P.RETURNING),
    (P.RETURNING, E.LOST): _SETTLE,
    (P.RETURNING, E.FAULT): _TERMINATE,
    (P.RETURNING, E.EXITED): _DRAIN,
    (P.SETTLING, E.QUIET): _TERMINATE,
    (P.SETTLING, E.TIMEOUT): _TERMINATE,
    (P.SETTLING, E.CANCEL): _step(P.SETTLING),
    (P.SETTLING, E.RETURNED): _step(P.SETTLING),
    (P.SETTLING, E.LOST): _step(P.SETTLING),
    (P.SETTLING, E.FAULT): _TERMINATE,
    (P.SETTLING, E.EXITED): _DRAIN,
    # The connection broke: an exit that follows at once is the better reason.
    (P.PARTING, E.EXITED): _DRAIN,
    (P.PARTING, E.TIMEOUT): _SETTLE,
    (P.PARTING, E.CANCEL): _step(P.PARTING),
    (P.PARTING, E.FAULT): _TERMINATE,
    # SIGTERM was sent: the process ends, what it started ends, the pipes are read to their end.
    (P.TERMINATING, E.LAUNCHED): _step(P.TERMINATING),
    (P.TERMINATING, E.EXITED): _step(P.DRAINING),
    (P.TERMINATING, E.TIMEOUT): _step(P.KILLING, F.KILL),
    (P.TERMINATING, E.CANCEL): _step(P.TERMINATING),
    (P.TERMINATING, E.FAULT): _step(P.TERMINATING),
    (P.DRAINING, E.CLOSED): _step(P.OVER, F.KILL, F.END),
    (P.DRAINING, E.TIMEOUT): _step(P.KILLING, F.KILL),
    (P.DRAINING, E.CANCEL): _step(P.DRAINING),
    (P.DRAINING, E.FAULT): _step(P.DRAINING),
    (P.KILLING, E.LAUNCHED): _step(P.KILLING),
    (P.KILLING, E.EXITED): _step(P.KILLING),
    (P.KILLING, E.CLOSED): _END,
    (P.KILLING, E.TIMEOUT): _END,
    (P.KILLING, E.CANCEL): _step(P.KILLING),
    (P.KILLING, E.FAULT): _step(P.KILLING),
}

# Where no call is waited for any more: to cancel then only hastens the end.
WORK_IS_DONE = frozenset({P.SETTLING, P.TERMINATING, P.DRAINING, P.KILLING})


class ImpossibleEvent(Exception):
    """The table has no row for this phase and event: a bug in whoever reports events."""


def step(phase: Phase, event: Event) -> Step:
    """Look up what follows.

    Raises:
        ImpossibleEvent: the pair is not in the table.
    """
    try:
        return TABLE[phase, event]
    except KeyError:
        raise ImpossibleEvent(f"{event.name} cannot happen while {phase.name}") from None
