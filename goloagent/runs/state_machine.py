"""Where one run stands: takes events, goes through the table, and keeps the time of each phase.

Knows the order of things and performs none of them: effects are given to it as functions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import attrs
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from goloagent.jobs.job import FailureReason, Job
from goloagent.runs import outcome
from goloagent.runs.timeouts import Timeouts
from goloagent.runs.transitions import WORK_IS_DONE, Action, Event, Phase, next_transition


class RunStateMachine:
    """The life of `job` from `PREPARING` to `OVER`, after which nothing happens any more.

    Args:
        effects: how each effect is performed.
        broken: told of an effect that raised; the others are performed all the same.
        save: keeps the job when its state has changed.
    """

    def __init__(
        self,
        job: Job,
        clock: IReactorTime,
        bounds: Timeouts,
        effects: Mapping[Action, Callable[[], None]],
        save: Callable[[], None],
        broken: Callable[[Action, Exception], None],
    ) -> None:
        self._job = job
        self._clock = clock
        self._bounds = bounds
        self._effects = effects
        self._save = save
        self._broken = broken
        self._cancelled = False
        self._phase_timer: IDelayedCall | None = None
        self._quiet_timer: IDelayedCall | None = None
        self.phase = Phase.PREPARING
        self.cause: FailureReason | None = None

    def begin(self) -> None:
        """Take up the first phase."""
        self._enter(Phase.PREPARING)

    def handle(self, event: Event, cause: FailureReason | None = None) -> None:
        """Let the table say what follows from `event`; the first cause stands."""
        phase = self.phase
        if phase is Phase.OVER:
            return
        if self.cause is None:
            seconds = self._seconds(phase)
            self.cause = cause or outcome.failure_for(phase, event, seconds, self._job.exit)
        following = next_transition(phase, event)
        self._enter(following.phase)
        for effect in following.effects:
            try:
                self._effects[effect]()
            except Exception as error:
                self._broken(effect, error)

    def cancel(self, cause: FailureReason) -> None:
        """Bring the job to its ordered end, the cancelled times holding from now on.

        When all its calls have returned this only hastens the end: the job has done its work. One
        that has not begun, and that only the agent's end keeps from it, stays in the queue.
        """
        self._cancelled = True
        if self.phase is Phase.PREPARING and cause is not outcome.CANCELLED:
            cause = attrs.evolve(cause, requeue=True)
        elif self.cause is not None and self.cause.requeue and cause is outcome.CANCELLED:
            self.cause = cause
        self.handle(Event.CANCEL, None if self.phase in WORK_IS_DONE else cause)

    def restart_quiet_timer(self) -> None:
        """Wait anew for stdout to be idle before `OUTPUT_IDLE`, if the phase lasts."""
        if self._quiet_timer is not None and self._quiet_timer.active():
            self._quiet_timer.reset(self._bounds.quiet_seconds)
        else:
            self._quiet_timer = self._clock.callLater(
                self._bounds.quiet_seconds, self.handle, Event.OUTPUT_IDLE
            )

    def _enter(self, phase: Phase) -> None:
        """Take up `phase` and its time; in the same phase the time can only become shorter."""
        clock, seconds, timer = self._clock, self._seconds(phase), self._phase_timer
        if phase is self.phase and timer is not None and timer.active():
            if clock.seconds() + seconds < timer.getTime():
                timer.reset(seconds)
            return
        self._cancel_timers()
        self.phase = phase
        if phase.state is None:
            return
        self._phase_timer = clock.callLater(seconds, self.handle, Event.TIMEOUT)
        if phase.state is not self._job.state:
            self._job.state = phase.state
            self._save()

    def _seconds(self, phase: Phase) -> float:
        if phase is Phase.OVER:
            return 0.0
        return self._bounds.for_phase(phase, self._job.spec.duration_seconds, self._cancelled)

    def _cancel_timers(self) -> None:
        for timer in (self._phase_timer, self._quiet_timer):
            if timer is not None and timer.active():
                timer.cancel()
