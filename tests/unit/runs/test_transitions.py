"""The table of transitions is complete and bounded, and leaves no process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from goloagent.jobs.job import CallCounts, State
from goloagent.runs import outcome
from goloagent.runs.transitions import (
    TRANSITIONS,
    Action,
    Event,
    ImpossibleEvent,
    Phase,
    Transition,
    next_transition,
)

BEFORE_A_PROCESS = {Phase.PREPARING}
LIVE = [phase for phase in Phase if phase not in BEFORE_A_PROCESS | {Phase.OVER}]


def reachable(start: Phase) -> set[Phase]:
    """Return every phase that some events lead to from `start`."""
    found, new = {start}, [start]
    while new:
        phase = new.pop()
        following = {then.phase for (origin, _), then in TRANSITIONS.items() if origin is phase}
        new += following - found
        found |= following
    return found


def paths(
    phase: Phase, steps: tuple[tuple[Event, Transition], ...]
) -> Iterator[list[tuple[Event, Transition]]]:
    """Yield every path from `phase` to the end without a repeated phase."""
    if phase is Phase.OVER:
        yield list(steps)
    been = {Phase.PREPARING, *(then.phase for _, then in steps)}
    for (origin, event), then in TRANSITIONS.items():
        if origin is phase and then.phase not in been:
            yield from paths(then.phase, (*steps, (event, then)))


PATHS = list(paths(Phase.PREPARING, ()))


def test_every_pair_is_in_the_table_or_impossible() -> None:
    """A pair has the transition of the table, or raises an error that names it."""
    for phase in Phase:
        for event in Event:
            if (phase, event) in TRANSITIONS:
                assert next_transition(phase, event) is TRANSITIONS[phase, event]
            else:
                with pytest.raises(ImpossibleEvent, match=f"{event.name} .* {phase.name}$"):
                    next_transition(phase, event)


@pytest.mark.parametrize("phase", list(Phase), ids=lambda phase: phase.name)
def test_every_phase_is_reached_and_ends(phase: Phase) -> None:
    """Each phase is reachable and leads to the end."""
    assert phase in reachable(Phase.PREPARING)
    assert Phase.OVER in reachable(phase)


def test_nothing_follows_the_end() -> None:
    """A run that is over stays over."""
    assert not [pair for pair in TRANSITIONS if pair[0] is Phase.OVER]


@pytest.mark.parametrize("phase", [p for p in Phase if p is not Phase.OVER], ids=lambda p: p.name)
def test_time_alone_ends_a_run(phase: Phase) -> None:
    """Timeouts alone lead from every phase to the end without a repeated phase."""
    been = []
    while phase is not Phase.OVER:
        been.append(phase)
        phase = next_transition(phase, Event.TIMEOUT).phase
        assert phase not in been


@pytest.mark.parametrize("phase", [p for p in Phase if p is not Phase.OVER], ids=lambda p: p.name)
def test_a_cancel_is_possible_in_every_phase(phase: Phase) -> None:
    """A cancel is possible in every phase, and never leads to one with more work."""
    after = next_transition(phase, Event.CANCEL).phase
    order = list(Phase)
    assert order.index(after) >= order.index(phase)
    assert phase.state is not State.STARTING or after.state is not State.RUNNING


@pytest.mark.parametrize("phase", LIVE, ids=lambda phase: phase.name)
def test_a_fault_is_possible_while_there_is_a_process(phase: Phase) -> None:
    """FAILED has a row in each of these phases."""
    assert (phase, Event.FAILED) in TRANSITIONS


def test_the_run_ends_once() -> None:
    """END comes with the last phase, as the last action, and nowhere else."""
    for then in TRANSITIONS.values():
        assert then.actions.count(Action.END) == (then.phase is Phase.OVER)
        assert Action.END not in then.actions[:-1]


def test_no_process_outlives_its_job() -> None:
    """On every path from SPAWN to the end the process group is killed."""
    spawned = 0
    for path in PATHS:
        events = [event for event, _ in path]
        actions = [action for _, then in path for action in then.actions]
        if Action.SPAWN in actions and Event.PREPARATION_FAILED not in events:
            spawned += 1
            assert Action.KILL in actions, events
            assert Action.TERMINATE in actions, events
    assert spawned > 20


def test_a_sigterm_comes_before_the_sigkill() -> None:
    """A process can flush its output before SIGKILL."""
    for path in PATHS:
        actions = [action for _, then in path for action in then.actions]
        if Action.KILL in actions:
            assert actions.index(Action.TERMINATE) < actions.index(Action.KILL)


def test_an_ordered_end_lets_calls_return_before_it_hangs_up() -> None:
    """Calls stop and stdout is idle before the connection ends and SIGTERM is sent."""
    events = [Event.TIMEOUT, Event.CALLS_DRAINED, Event.OUTPUT_IDLE, Event.EXITED, Event.CLOSED]
    phase, actions = Phase.RUNNING, []
    for event in events:
        then = next_transition(phase, event)
        phase = then.phase
        actions += then.actions
    assert phase is Phase.OVER
    assert actions == [
        Action.STOP_CALLING,
        Action.WATCH_STDOUT,
        Action.HANG_UP,
        Action.TERMINATE,
        Action.KILL,
        Action.END,
    ]


def test_a_driven_connection_is_dropped_in_the_end() -> None:
    """Every path that connects also hangs up."""
    for path in PATHS:
        actions = [action for _, then in path for action in then.actions]
        if Action.CONNECT in actions:
            assert Action.HANG_UP in actions[actions.index(Action.CONNECT) :]


def test_every_state_of_the_api_is_reached() -> None:
    """Phases, outcomes and the queue together have all states of the API."""
    shown = {phase.state for phase in Phase} - {None} | {State.QUEUED}
    ended = {
        outcome.final_state(cause, CallCounts(started=1, ok=1), None)[0]
        for cause in (
            None,
            outcome.CANCELLED,
            outcome.AGENT_STOPPED,
            outcome.FailureReason("exited", ""),
        )
    }
    assert shown | ended == set(State)


def test_every_event_and_action_is_used() -> None:
    """The table has each event and each action."""
    assert {event for _, event in TRANSITIONS} == set(Event)
    assert {action for then in TRANSITIONS.values() for action in then.actions} == set(Action)
