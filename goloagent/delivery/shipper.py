"""Sends every run's results to the collector, a batch at a time, in order within a run.

Decides when a batch is due and does what `policy` says of the answer; how a push is made and where
a log lies is for the functions it is given. A batch that is not taken stays where it is: in the
log.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Protocol

import attrs
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from goloagent.delivery.cursor import Batch, Cursor
from goloagent.delivery.policy import (
    FEW_REFUSALS,
    MANY_REFUSALS,
    PROBE_SECONDS,
    Answer,
    Backoff,
    Verdict,
    judge,
)
from goloagent.jobs.job import Delivery, Job

BATCH_RESULTS = 256
BATCH_SECONDS = 1.0


class Log(Protocol):
    """A run's log, to be read and to note in what the collector refused."""

    def read(self, offset: int, count: int) -> bytes:
        """Return up to `count` bytes from `offset`; fewer only at the end."""

    def reject(self, batch: Batch, answer: Answer) -> None:
        """Keep refused results where a person finds them."""

    def close(self) -> None:
        """Let go of it."""


@attrs.define
class _Track:
    """One run's cursor, the batches taken and not settled, and since when results wait.

    After something of its own broke it rests until ``resume_at``; the other tracks go on.
    ``refusals`` are its refused results, less those taken since.
    """

    job: Job
    log: Log
    cursor: Cursor
    complete: bool = False
    waiting_since: float | None = None
    resume_at: float = 0.0
    refusals: int = 0
    batches: deque[Batch] = attrs.Factory(deque)


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
        self._tracks: OrderedDict[str, _Track] = OrderedDict()
        self._delivery = Delivery()
        self._backoff = Backoff()
        self._pause: Deferred[None] | None = None
        self._pause_is_firm = False
        self._stopping = False
        self._loop: Deferred[None] | None = None

    def start(self) -> None:
        """Begin shipping."""
        self._loop = ensureDeferred(self._ship())
        self._loop.addErrback(self._broken)

    def stop(self, seconds: float) -> Deferred[None]:
        """Send what the collector takes in `seconds`; the rest is kept in the logs."""
        assert self._loop is not None
        self._stopping = True
        limit = self._clock.callLater(seconds, self._loop.cancel)
        self._end_pause(firmly=True)

        def stopped(_: object) -> None:
            if limit.active():
                limit.cancel()
            for track in self._tracks.values():
                track.log.close()

        return self._loop.addBoth(stopped)

    # What a run tells.

    def begin(self, job: Job) -> None:
        """Follow the log of `job` from what is committed.

        Raises:
            OSError: the log cannot be opened.
        """
        log = self._open_log(job)
        job.delivery = self._delivery
        self._tracks[job.id] = _Track(job, log, Cursor(log.read, job.results.committed))

    def grow(self, job: Job) -> None:
        """Look at the log of `job`: there is more in it."""
        track = self._tracks[job.id]
        if track.waiting_since is None and job.results.pending:
            track.waiting_since = self._clock.seconds()
            self._end_pause()
        elif job.results.pending >= BATCH_RESULTS:
            self._end_pause()

    def end(self, job: Job) -> None:
        """Send the rest: the log of `job` is complete."""
        self._tracks[job.id].complete = True
        self._end_pause()

    # The loop.

    async def _ship(self) -> None:
        while True:
            seconds, track = min(
                ((self._due_in(track), track) for track in self._tracks.values()),
                key=lambda due: due[0],
                default=(float("inf"), None),
            )
            if track is not None and seconds == 0:
                self._tracks.move_to_end(track.job.id)
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

    def _due_in(self, track: _Track) -> float:
        """Return in how many seconds the next batch of `track` closes."""
        if track.batches or track.complete:
            due = 0.0
        elif track.waiting_since is None:
            return float("inf")
        elif self._stopping or track.job.results.pending >= BATCH_RESULTS:
            due = 0.0
        else:
            due = track.waiting_since + BATCH_SECONDS
        # All that is overdue is alike: the tracks take turns.
        return max(0.0, max(due, track.resume_at) - self._clock.seconds())

    async def _advance(self, track: _Track) -> None:
        """Bring one batch of `track` further, or let go of a track at its end."""
        if not track.batches:
            if track.complete and not track.job.results.pending:
                self._forget(track)
                return
            batch = self._take(track)
            if batch is None:
                if track.complete:
                    self._forget(track)
                return
            track.batches.append(batch)
        batch = track.batches[0]
        if not batch.lines:
            self._commit(track)
            # A log may hold gigabytes of this: let others have their turn.
            await self._wait(0.0, firmly=True)
            return
        answer = await self._push(track.job.spec.name, f"{track.job.id}/{batch.key}", batch.body())
        verdict = judge(answer)
        if verdict not in (Verdict.TAKEN, Verdict.DIVIDE):
            await self._hold_on(verdict, answer)
            return
        self._backoff.reset()
        self._delivery.state, self._delivery.retry_at = "ok", None
        if verdict is Verdict.TAKEN:
            held = track.job.delivery is not self._delivery
            track.job.delivery = self._delivery
            track.refusals = 0 if held else max(0, track.refusals - len(batch.lines))
            self._commit(track, delivered=len(batch.lines))
        elif len(batch.lines) > 1:
            track.batches.popleft()
            track.batches.extendleft(reversed(batch.halves()))
        else:
            self._refuse(track, batch, answer)

    def _refuse(self, track: _Track, batch: Batch, answer: Answer) -> None:
        """Reject one result, or hold its run when the collector refuses most of them."""
        results = track.job.results
        bound = FEW_REFUSALS if results.rejected >= results.delivered else MANY_REFUSALS
        if track.refusals + 1 < bound:
            track.log.reject(batch, answer)
            track.refusals += 1
            self._commit(track, rejected=1)
            return
        if track.job.delivery is self._delivery:
            self._log.warn(
                "delivery of job {id} is holding, as most results are refused: {answer}",
                id=track.job.id,
                answer=str(answer),
            )
        self._rest(track, "holding", str(answer))

    def _rest(self, track: _Track, state: str, error: str) -> None:
        """Let one track wait while the others go on."""
        track.resume_at = self._clock.seconds() + PROBE_SECONDS
        retry_at = self._now() + timedelta(seconds=PROBE_SECONDS)
        track.job.delivery = Delivery(state, error, retry_at)

    def _take(self, track: _Track) -> Batch | None:
        """Take the next batch: 256 results, and more the further the cursor is behind."""
        pending = track.job.results.pending
        batch = track.cursor.next(max(BATCH_RESULTS, pending // 4), track.complete)
        if batch is None or len(batch.lines) == pending:
            track.waiting_since = None
        return batch

    def _commit(self, track: _Track, delivered: int = 0, rejected: int = 0) -> None:
        results = track.job.results
        results.delivered += delivered
        results.rejected += rejected
        results.committed = track.batches.popleft().end
        self._save(track.job)

    def _forget(self, track: _Track) -> None:
        self._save(track.job)
        del self._tracks[track.job.id]
        track.log.close()

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
