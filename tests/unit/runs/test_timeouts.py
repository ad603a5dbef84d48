"""How long a run may last."""

from __future__ import annotations

import pytest
from unit.runs.one_run import cancel_seconds

from goloagent.runs.timeouts import Timeouts
from goloagent.runs.transitions import LOADED, TRANSITIONS, Action, Event, Phase

BOUNDS = Timeouts()
TIMED = [phase for phase in Phase if phase is not Phase.OVER]


@pytest.mark.parametrize("phase", TIMED, ids=lambda phase: phase.name)
def test_every_phase_has_an_end(phase: Phase) -> None:
    """Each phase lasts some time and no longer; only the load lasts as long as was asked."""
    assert BOUNDS.for_phase(Phase.RUNNING, 7, cancelled=False) == 7
    if phase not in LOADED:
        assert 0 < BOUNDS.for_phase(phase, 10**6, cancelled=False) <= 60


@pytest.mark.parametrize("phase", TIMED, ids=lambda phase: phase.name)
def test_nothing_lasts_longer_for_a_cancel(phase: Phase) -> None:
    """A cancel never lengthens a timeout."""
    assert BOUNDS.for_phase(phase, 9, cancelled=True) <= BOUNDS.for_phase(phase, 9, cancelled=False)


def longest(phase: Phase) -> float:
    """Return the seconds from entering `phase` to the end, with a cancel, at the very worst."""
    if phase is Phase.OVER:
        return 0.0
    following = {then.phase for (origin, _), then in TRANSITIONS.items() if origin is phase} - {
        phase
    }
    return BOUNDS.for_phase(phase, 0, cancelled=True) + max(map(longest, following))


def test_a_cancelled_job_ends_in_the_documented_time() -> None:
    """`cancel_seconds` is the longest path from any phase to the end."""
    for phase in TIMED:
        assert longest(TRANSITIONS[phase, Event.CANCEL].phase) <= cancel_seconds(BOUNDS)


def test_a_cancel_shortens_long_timeouts_only() -> None:
    """Operators may set longer timeouts, which a cancel caps, and shorter ones, which it keeps."""
    ending = (Phase.DRAINING_CALLS, Phase.WAITING_FOR_OUTPUT, Phase.TERMINATING)
    for seconds, capped in ((0.1, [0.1, 0.1, 0.1]), (3600.0, [3.0, 3.0, 10.0])):
        timeouts = Timeouts(drain_seconds=seconds, output_seconds=seconds, grace_seconds=seconds)
        assert [timeouts.for_phase(phase, 0, cancelled=True) for phase in ending] == capped


def test_a_load_test_that_heeds_nothing_is_killed_when_its_grace_is_over() -> None:
    """From SIGTERM on, a process that does not end has its grace period, then SIGKILL."""
    assert Action.KILL in TRANSITIONS[Phase.TERMINATING, Event.TIMEOUT].actions
    assert BOUNDS.for_phase(Phase.TERMINATING, 0, cancelled=True) == BOUNDS.grace_seconds
