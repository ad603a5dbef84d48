"""The timeouts of a run's phases. Pure; docs/lifecycle.md explains the phases."""

from __future__ import annotations

import attrs

from goloagent.runs.transitions import Phase

# Upper bounds after a cancel and while the agent stops.
_CANCELLED_SECONDS = {
    Phase.DRAINING_CALLS: 3.0,
    Phase.WAITING_FOR_OUTPUT: 3.0,
    Phase.TERMINATING: 10.0,
}


@attrs.frozen
class Timeouts:
    """The timeout of each phase; stdout is idle after `quiet_seconds` without a byte."""

    prepare_seconds: float = 60.0
    start_seconds: float = 60.0
    drain_seconds: float = 30.0
    output_seconds: float = 10.0
    quiet_seconds: float = 1.0
    connection_lost_seconds: float = 1.0
    grace_seconds: float = 10.0
    pipes_seconds: float = 2.0
    kill_seconds: float = 1.0

    def for_phase(self, phase: Phase, duration_seconds: float, cancelled: bool) -> float:
        """Return the timeout of `phase` in a run of `duration_seconds`."""
        seconds = {
            Phase.PREPARING: self.prepare_seconds,
            Phase.LAUNCHING: self.start_seconds,
            Phase.CONNECTING: self.start_seconds,
            Phase.RUNNING: duration_seconds,
            Phase.SELF_DRIVEN: duration_seconds,
            Phase.DRAINING_CALLS: self.drain_seconds,
            Phase.WAITING_FOR_OUTPUT: self.output_seconds,
            Phase.CONNECTION_LOST: self.connection_lost_seconds,
            Phase.TERMINATING: self.grace_seconds,
            Phase.CLOSING_PIPES: self.pipes_seconds,
            Phase.KILLING: self.kill_seconds,
        }[phase]
        return min(seconds, _CANCELLED_SECONDS.get(phase, seconds)) if cancelled else seconds
