"""The table of a job's life is total, bounded, and never leaves a process behind."""

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
    """Yield every way from `phase` to the end that goes through no phase twice."""
    if phase is Phase.OVER:
        yield list(steps)
    been = {Phase.PREPARING, *(then.phase for _, then in steps)}
    for (origin, event), then in TRANSITIONS.items():
        if origin is phase and then.phase not in been:
            yield from paths(then.phase, (*steps, (event, then)))


LIVES = list(paths(Phase.PREPARING, ()))


def test_every_pair_is_in_the_table_or_impossible() -> None:
    """A pair has exactly the table's step, or says what cannot happen when."""
    for phase in Phase:
        for event in Event:
            if (phase, event) in TRANSITIONS:
                assert next_transition(phase, event) is TRANSITIONS[phase, event]
            else:
                with pytest.raises(ImpossibleEvent, match=f"{event.name} .* {phase.name}$"):
                    next_transition(phase, event)


@pytest.mark.parametrize("phase", list(Phase), ids=lambda phase: phase.name)
def test_every_phase_is_reached_and_ends(phase: Phase) -> None:
    """No phase is there for nothing, and from each there is a way to the end."""
    assert phase in reachable(Phase.PREPARING)
    assert Phase.OVER in reachable(phase)


def test_nothing_follows_the_end() -> None:
    """A run that is over stays over."""
    assert not [pair for pair in TRANSITIONS if pair[0] is Phase.OVER]


@pytest.mark.parametrize("phase", [p for p in Phase if p is not Phase.OVER], ids=lambda p: p.name)
def test_time_alone_ends_a_run(phase: Phase) -> None:
    """From every phase time-outs lead to the end through no phase twice: a run is bounded."""
    been = []
    while phase is not Phase.OVER:
        been.append(phase)
        phase = next_transition(phase, Event.TIMEOUT).phase
        assert phase not in been


@pytest.mark.parametrize("phase", [p for p in Phase if p is not Phase.OVER], ids=lambda p: p.name)
def test_anybody_may_cancel_at_any_time(phase: Phase) -> None:
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
    """On every way from SPAWN to the end its group is killed, or there never was a process."""
    spawned = 0
    for life in LIVES:
        events = [event for event, _ in life]
        actions = [action for _, then in life for action in then.actions]
        if Action.SPAWN in actions and Event.PREPARATION_FAILED not in events:
            spawned += 1
            assert Action.KILL in actions, events
            assert Action.TERMINATE in actions, events
    assert spawned > 20


def test_a_sigterm_comes_before_the_sigkill() -> None:
    """Nothing is killed that was not asked to end before, so it can flush what it has."""
    for life in LIVES:
        actions = [action for _, then in life for action in then.actions]
        if Action.KILL in actions:
            assert actions.index(Action.TERMINATE) < actions.index(Action.KILL)


def test_an_ordered_end_lets_calls_return_before_it_hangs_up() -> None:
    """Calling stops, stdout falls quiet, and only then the connection ends and comes SIGTERM."""
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
    """Every way that connects hangs up before it is over."""
    for life in LIVES:
        actions = [action for _, then in life for action in then.actions]
        if Action.CONNECT in actions:
            assert Action.HANG_UP in actions[actions.index(Action.CONNECT) :]


def test_every_state_of_the_api_is_reached() -> None:
    """Phases, outcomes and the queue together show each state that the API knows."""
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
    """Nothing stands in the language of the table that the table does not say."""
    assert {event for _, event in TRANSITIONS} == set(Event)
    assert {action for then in TRANSITIONS.values() for action in then.actions} == set(Action)
