"""How long each phase of a run may last. Pure numbers; docs/lifecycle.md explains them."""

from __future__ import annotations

import attrs

from goloagent.runs.transitions import Phase


@attrs.frozen
class Timeouts:
    """Seconds; the ``cancelled`` ones hold when somebody waits for the job to end.

    A cancelled job is gone within return + settle + grace + drain + kill seconds at the very worst.
    """

    prepare_seconds: float = 60.0
    start_seconds: float = 60.0
    return_seconds: float = 30.0
    return_cancelled_seconds: float = 3.0
    settle_seconds: float = 10.0
    settle_cancelled_seconds: float = 3.0
    quiet_seconds: float = 1.0
    part_seconds: float = 1.0
    grace_seconds: float = 10.0
    drain_seconds: float = 2.0
    kill_seconds: float = 1.0

    def for_phase(self, phase: Phase, duration_seconds: float, cancelled: bool) -> float:
        """Return how long `phase` may last in a run of `duration_seconds`."""
        return {
            Phase.PREPARING: self.prepare_seconds,
            Phase.LAUNCHING: self.start_seconds,
            Phase.CONNECTING: self.start_seconds,
            Phase.RUNNING: duration_seconds,
            Phase.DRAINING_CALLS: self.return_cancelled_seconds
            if cancelled
            else self.return_seconds,
            Phase.WAITING_FOR_OUTPUT: self.settle_cancelled_seconds
            if cancelled
            else self.settle_seconds,
            Phase.CONNECTION_LOST: self.part_seconds,
            Phase.TERMINATING: self.grace_seconds,
            Phase.CLOSING_PIPES: self.drain_seconds,
            Phase.KILLING: self.kill_seconds,
        }[phase]
