"""How long a run may last."""

from __future__ import annotations

import pytest

from goloagent.runs.timeouts import Timeouts
from goloagent.runs.transitions import TRANSITIONS, Action, Event, Phase

BOUNDS = Timeouts()
TIMED = [phase for phase in Phase if phase is not Phase.OVER]


@pytest.mark.parametrize("phase", TIMED, ids=lambda phase: phase.name)
def test_every_phase_has_an_end(phase: Phase) -> None:
    """Each phase lasts some time and no longer; only the load lasts as long as was asked."""
    assert BOUNDS.for_phase(Phase.RUNNING, 7, cancelled=False) == 7
    if phase is not Phase.RUNNING:
        assert 0 < BOUNDS.for_phase(phase, 10**6, cancelled=False) <= 60


@pytest.mark.parametrize("phase", TIMED, ids=lambda phase: phase.name)
def test_nothing_lasts_longer_for_a_cancel(phase: Phase) -> None:
    """Somebody who waits never waits longer."""
    assert BOUNDS.for_phase(phase, 9, cancelled=True) <= BOUNDS.for_phase(phase, 9, cancelled=False)


def longest(phase: Phase) -> float:
    """Return the seconds from entering `phase` to the end, with a cancel, at the very worst."""
    if phase is Phase.OVER:
        return 0.0
    following = {then.phase for (origin, _), then in TRANSITIONS.items() if origin is phase} - {
        phase
    }
    return BOUNDS.for_phase(phase, 0, cancelled=True) + max(map(longest, following))


def test_a_cancelled_job_is_gone_within_the_promised_time() -> None:
    """The sum that the docstring promises holds on the longest way through the table."""
    promised = (
        BOUNDS.return_cancelled_seconds
        + BOUNDS.settle_cancelled_seconds
        + BOUNDS.grace_seconds
        + BOUNDS.drain_seconds
        + BOUNDS.kill_seconds
    )
    for phase in TIMED:
        after = TRANSITIONS[phase, Event.CANCEL].phase
        assert longest(after) <= promised


def test_a_load_test_that_heeds_nothing_is_killed_when_its_grace_is_over() -> None:
    """From SIGTERM on, a process that does not end has its grace period, then SIGKILL."""
    assert Action.KILL in TRANSITIONS[Phase.TERMINATING, Event.TIMEOUT].effects
    assert BOUNDS.for_phase(Phase.TERMINATING, 0, cancelled=True) == BOUNDS.grace_seconds
