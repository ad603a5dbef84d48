"""Sends every run's results to the collector, a batch at a time, in order within a run.

Decides when a batch is due and does what `policy` says of the answer; how a push is made and where
a log lies is for the functions it is given. A batch that is not taken stays where it is: in the
log.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from goloagent.delivery.policy import (
    FEW_REFUSALS,
    MANY_REFUSALS,
    PROBE_SECONDS,
    Answer,
    Backoff,
    Pace,
    Verdict,
    judge,
)
from goloagent.delivery.track import Log, Track
from goloagent.delivery.turns import Turns
from goloagent.jobs.job import Delivery, Job


class Shipper:
    """Ships the results of every run it is told of.

    Args:
        push: sends a batch's body for a name, under a key; what goes wrong is an answer too.
        open_log: opens the log of a job's run.
        save: keeps a job with what is committed.
    """

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        now: Callable[[], datetime],
        push: Callable[[str, str, bytes], Awaitable[Answer]],
        open_log: Callable[[Job], Log],
        save: Callable[[Job], None],
    ) -> None:
        self._clock = clock
        self._now = now
        self._push = push
        self._open_log = open_log
        self._save = save
        self._turns = Turns()
        self._delivery = Delivery()
        self._backoff = Backoff()
        self._pace = Pace()
        self._pause: Deferred[None] | None = None
        self._pause_is_firm = False
        self._stopping = False
        self._loop: Deferred[None] | None = None

    def start(self) -> Deferred[None]:
        """Begin shipping; what this returns fires at the end, which comes after `stop` alone."""
        self._loop = ensureDeferred(self._ship())
        self._loop.addErrback(self._broken)
        return self._loop

    def stop(self, seconds: float) -> Deferred[None]:
        """Send what the collector takes in `seconds`; the rest is kept in the logs."""
        assert self._loop is not None
        self._stopping = True
        limit = self._clock.callLater(seconds, self._loop.cancel)
        self._end_pause(firmly=True)

        def stopped(_: object) -> None:
            if limit.active():
                limit.cancel()
            self._turns.close()

        return self._loop.addBoth(stopped)

    # What a run tells.

    def begin(self, job: Job) -> None:
        """Follow the log of `job` from what is committed."""
        job.delivery = self._delivery
        self._turns.add(Track(job, self._open_log))

    def grow(self, job: Job) -> None:
        """Look at the log of `job`: there is more in it."""
        if self._turns.live(job.id).grow(self._clock.seconds()):
            self._end_pause()

    def end(self, job: Job) -> None:
        """Send the rest: the log of `job` is complete."""
        self._turns.live(job.id).complete = True
        self._end_pause()

    # The loop.

    async def _ship(self) -> None:
        while True:
            seconds, track = self._turns.next(self._clock.seconds(), at_once=self._stopping)
            if track is not None:
                try:
                    await self._advance(track)
                except (CancelledError, _Stopped):
                    raise
                except Exception as error:
                    self._log.failure("delivery of job {id} broke", id=track.job.id)
                    self._rest(track, "retrying", str(error))
            elif self._stopping:
                return
            else:
                await self._wait(seconds)

    async def _advance(self, track: Track) -> None:
        """Bring one batch of `track` further, or let go of a track at its end."""
        batch = track.next(self._pace.results)
        if batch is None:
            if track.complete:
                self._save(track.job)
                self._turns.remove(track)
            return
        if not batch.results:
            self._commit(track)
            # A log may hold gigabytes of this: let others have their turn.
            await self._wait(0.0, firmly=True)
            return
        begun = self._clock.seconds()
        answer = await self._push(track.job.spec.name, f"{track.job.id}/{batch.key}", batch.body())
        verdict = judge(answer)
        if verdict not in (Verdict.TAKEN, Verdict.DIVIDE):
            self._turns.pass_on()
            await self._hold_on(verdict, answer)
            return
        self._backoff.reset()
        self._delivery.state, self._delivery.retry_at = "ok", None
        if verdict is Verdict.TAKEN:
            self._pace.taken(self._clock.seconds() - begun)
            held = track.job.delivery is not self._delivery
            track.job.delivery = self._delivery
            track.refusals = 0 if held else max(0, track.refusals - batch.results)
            self._commit(track, delivered=batch.results)
        elif batch.results > 1:
            track.divide()
        else:
            self._refuse(track, answer)

    def _refuse(self, track: Track, answer: Answer) -> None:
        """Reject one result, or hold its run when the collector refuses most of them."""
        results = track.job.results
        bound = FEW_REFUSALS if results.rejected >= results.delivered else MANY_REFUSALS
        if track.refusals + 1 < bound:
            track.reject(answer)
            self._commit(track, rejected=1)
            return
        if track.job.delivery is self._delivery:
            self._log.warn(
                "delivery of job {id} is holding, as most results are refused: {answer}",
                id=track.job.id,
                answer=str(answer),
            )
        self._rest(track, "holding", str(answer))

    def _rest(self, track: Track, state: str, error: str) -> None:
        """Let one track wait while the others go on."""
        track.let_go()
        track.resume_at = self._clock.seconds() + PROBE_SECONDS
        retry_at = self._now() + timedelta(seconds=PROBE_SECONDS)
        track.job.delivery = Delivery(state, error, retry_at)

    def _commit(self, track: Track, delivered: int = 0, rejected: int = 0) -> None:
        track.settle(delivered, rejected)
        self._save(track.job)

    async def _hold_on(self, verdict: Verdict, answer: Answer) -> None:
        """Wait before the same batch is tried again; an agent that stops does not."""
        holding = verdict is Verdict.HOLD
        seconds = PROBE_SECONDS if holding else self._backoff.next_delay(answer.retry_after)
        state = "holding" if holding else "retrying"
        if self._delivery.state != state:
            self._log.warn("delivery is {state}: {answer}", state=state, answer=str(answer))
        self._delivery.state, self._delivery.last_error = state, str(answer)
        self._delivery.retry_at = self._now() + timedelta(seconds=seconds)
        if self._stopping:
            raise _Stopped
        await self._wait(seconds, firmly=True)

    async def _wait(self, seconds: float, firmly: bool = False) -> None:
        """Wait so long, or until `_end_pause`; a firm pause ends early only by a firm end."""
        self._pause, self._pause_is_firm = Deferred(), firmly
        timer = None
        if seconds != float("inf"):
            timer = self._clock.callLater(seconds, self._end_pause, firmly=True)
        try:
            await self._pause
        finally:
            self._pause = None
            if timer is not None and timer.active():
                timer.cancel()

    def _end_pause(self, firmly: bool = False) -> None:
        if self._pause is not None and (firmly or not self._pause_is_firm):
            pause, self._pause = self._pause, None
            pause.callback(None)

    def _broken(self, failure: Failure) -> None:
        if not self._stopping:
            self._log.failure("delivery broke", failure)


class _Stopped(Exception):
    """The agent stops while the collector takes nothing."""
