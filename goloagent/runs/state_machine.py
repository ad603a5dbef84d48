"""The state machine of one run: follows the table of transitions and times each phase."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import attrs
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from goloagent.jobs.job import FailureReason, Job
from goloagent.runs import outcome
from goloagent.runs.timeouts import Timeouts
from goloagent.runs.transitions import (
    ALL_CALLS_RETURNED,
    LOADED,
    Action,
    Event,
    Phase,
    next_transition,
)


class RunStateMachine:
    """The phase of `job`'s run, from `PREPARING` to `OVER`, which no event leaves.

    Args:
        actions: performs each action.
        save: saves the job after a change of its state.
        failed: handles the error of an action; the other actions are performed nevertheless.
    """

    def __init__(
        self,
        job: Job,
        clock: IReactorTime,
        timeouts: Timeouts,
        actions: Mapping[Action, Callable[[], None]],
        save: Callable[[], None],
        failed: Callable[[Action, Exception], None],
    ) -> None:
        self._job = job
        self._clock = clock
        self._timeouts = timeouts
        self._actions = actions
        self._save = save
        self._failed = failed
        self._cancelled = False
        self._load_seconds = float(job.spec.duration_seconds)
        self._entered_at = clock.seconds()
        self._phase_timer: IDelayedCall | None = None
        self._quiet_timer: IDelayedCall | None = None
        self.phase = Phase.PREPARING
        self.has_launched = False
        self.cause: FailureReason | None = None
        """Why the job does not finish; the first cause counts."""

    @property
    def is_over(self) -> bool:
        """Whether the run is over."""
        return self.phase is Phase.OVER

    @property
    def requeued(self) -> bool:
        """Whether the job goes back to the queue."""
        return self.cause is not None and self.cause.requeue

    def begin(self) -> None:
        """Enter the first phase."""
        self._enter(Phase.PREPARING)

    def handle(self, event: Event, cause: FailureReason | None = None) -> None:
        """Make the transition for `event`, and perform its actions."""
        if self.is_over:
            return
        if event in (Event.LAUNCHED, Event.SELF_LAUNCHED):
            self.has_launched = True
        if self.cause is None:
            seconds = self._seconds(self.phase)
            self.cause = cause or outcome.failure_for(self.phase, event, seconds, self._job.exit)
        transition = next_transition(self.phase, event)
        self._enter(transition.phase)
        for action in transition.actions:
            if action is Action.WATCH_STDOUT:
                self._restart_quiet_timer()
                continue
            try:
                self._actions[action]()
            except Exception as error:
                self._failed(action, error)

    def cancel(self, cause: FailureReason) -> None:
        """End the run in order, with the shorter timeouts of a cancel.

        If all calls have returned the job still counts as finished. If the agent stops before the
        load test was started, the job is requeued.
        """
        self._cancelled = True
        if self.phase is Phase.PREPARING and cause is not outcome.CANCELLED:
            cause = attrs.evolve(cause, requeue=True)
        elif self.requeued and cause is outcome.CANCELLED:
            self.cause = cause
        self.handle(Event.CANCEL, None if self.phase in ALL_CALLS_RETURNED else cause)

    def begin_load(self) -> None:
        """Count the seconds of the load from now on."""
        self._entered_at = self._clock.seconds()
        self.set_load_seconds(self._load_seconds)

    def set_load_seconds(self, seconds: float) -> None:
        """Set how long the load lasts from its start, which may be changed while it runs."""
        self._load_seconds = seconds
        timer = self._phase_timer
        if self.phase in LOADED and timer is not None and timer.active():
            end = self._entered_at + seconds
            timer.reset(max(0.0, end - self._clock.seconds()))

    def output_counted(self) -> None:
        """Restart the quiet period if it is being waited for."""
        if self.phase is Phase.WAITING_FOR_OUTPUT:
            self._restart_quiet_timer()

    def _restart_quiet_timer(self) -> None:
        seconds = self._timeouts.quiet_seconds
        if self._quiet_timer is not None and self._quiet_timer.active():
            self._quiet_timer.reset(seconds)
        else:
            self._quiet_timer = self._clock.callLater(seconds, self.handle, Event.OUTPUT_IDLE)

    def _enter(self, phase: Phase) -> None:
        """Enter `phase` and start its timer; entering the current phase can only shorten it."""
        clock, seconds, timer = self._clock, self._seconds(phase), self._phase_timer
        if phase is self.phase and timer is not None and timer.active():
            if clock.seconds() + seconds < timer.getTime():
                timer.reset(seconds)
            return
        for active in (self._phase_timer, self._quiet_timer):
            if active is not None and active.active():
                active.cancel()
        self.phase, self._entered_at = phase, clock.seconds()
        if phase.state is None:
            return
        self._phase_timer = clock.callLater(seconds, self.handle, Event.TIMEOUT)
        if phase.state is not self._job.state:
            self._job.state = phase.state
            self._save()

    def _seconds(self, phase: Phase) -> float:
        if phase is Phase.OVER:
            return 0.0
        return self._timeouts.for_phase(phase, self._load_seconds, self._cancelled)
