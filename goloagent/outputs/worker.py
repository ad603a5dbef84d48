"""The worker of one output: sends every run's results, a batch at a time, in order within a run.

The only writer of what became of a run's results. Decides when a batch is due and does what
`policy` says of the answer; how a push is made and where a log lies is for the functions it is
given. What is not taken stays where it is: in the log.

A failure pauses the whole output while nothing tells that it is the run's own. It is the run's own
when the answer depends on the run's name, or when others were taken since the run failed before.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime, timedelta

from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from goloagent.concurrency.cooperation import cooperate
from goloagent.jobs.job import Job
from goloagent.outputs.batch import Batch
from goloagent.outputs.batch_size import AdaptiveBatchSize
from goloagent.outputs.fair_queue import FairQueue
from goloagent.outputs.feed import RunFeed, RunSource
from goloagent.outputs.probes import ProbePacer
from goloagent.outputs.retry import (
    PROBE_SECONDS,
    REJECT_LIMIT,
    REJECT_LIMIT_IF_MOST,
    Backoff,
    failures_until_smaller,
)
from goloagent.outputs.sink import Disposition, Response
from goloagent.outputs.status import HOLDING, OK, RETRYING, STATES, DeliveryStatus

RESTART_SECONDS = 30.0
# A run that fails while others are taken gets at most a fifth of the time for it.
_REST_PER_FAILURE = 4.0


class OutputWorker:
    """Delivers the results of every run that it is told of.

    Args:
        push: sends a batch's body for a name, under a key; what goes wrong is an answer too. It may
            be cancelled.
        open_log: opens the log of a job's run.
        save: keeps a job with what is committed.
        fault: told a sentence when delivery has ended by a defect, and None when it works again.
        notice: told what an operator should know.
    """

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        now: Callable[[], datetime],
        push: Callable[[str, str, bytes], Awaitable[Response]],
        open_log: Callable[[Job], RunSource],
        save: Callable[[Job], None],
        fault: Callable[[str | None], None] = lambda sentence: None,
        notice: Callable[[str], None] = lambda sentence: None,
    ) -> None:
        self._clock = clock
        self._now = now
        self._push = push
        self._open_log = open_log
        self._save = save
        self._fault = fault
        self._notice = notice
        self._probes = ProbePacer()
        self._queue = FairQueue(self._probes)
        self._size = AdaptiveBatchSize()
        self._backoff = Backoff()
        # Of the output: what is wrong with it, until when it is paused, how many pushes it took.
        self._state, self._error = OK, ""
        self._resume_at = 0.0
        self._taken = 0
        self._sleep: Deferred[None] | None = None
        self._loop: Deferred[None] | None = None
        self._restart: IDelayedCall | None = None
        self._is_broken = False
        self._deadline: float | None = None  # of the stop

    def start(self) -> None:
        """Begin to deliver."""
        self._restart = None
        self._loop = ensureDeferred(self._run())
        self._loop.addErrback(self._broken)

    def stop(self, seconds: float) -> Deferred[None]:
        """Send what the output takes in `seconds`, then stop; the rest is kept in the logs."""
        assert self._loop is not None
        self._deadline = self._clock.seconds() + seconds
        self._resume_at = 0.0  # an output that is paused is tried once more
        if self._restart is not None:
            self._restart.cancel()
            self._restart = None
        stopped: Deferred[None] = Deferred()
        limit = self._clock.callLater(seconds, self._end_loop, stopped)

        def ended(_: object) -> None:
            if limit.active():
                limit.cancel()
                self._end(stopped)

        self._loop.addBoth(ended)
        self._wake()
        return stopped

    def _end_loop(self, stopped: Deferred[None]) -> None:
        assert self._loop is not None
        self._loop.cancel()
        self._end(stopped)

    def _end(self, stopped: Deferred[None]) -> None:
        self._queue.close()
        stopped.callback(None)

    # What a run tells.

    def begin(self, job: Job) -> None:
        """Follow the log of `job` from what is committed."""
        feed = RunFeed(job, self._open_log)
        self._queue.add(feed)
        if not job.state.over:
            # One that grows is read through what was opened now, whatever becomes of its name.
            with suppress(Exception):
                feed.open()

    def on_appended(self, job: Job) -> None:
        """Look at the log of `job`: there is more in it."""
        feed = self._queue.get(job.id)
        now = self._clock.seconds()
        if feed is not None and feed.on_appended(now) and now >= self._resume_at:
            self._wake()

    def end(self, job: Job) -> None:
        """Send the rest: the log of `job` is complete."""
        feed = self._queue.get(job.id)
        if feed is not None:
            feed.complete = True
            if self._clock.seconds() < self._resume_at:
                feed.release()  # any number of runs may end in an outage
            self._wake()

    # What a person asks.

    def status(self, job: Job) -> DeliveryStatus:
        """Return how the delivery of a job's results goes."""
        feed = self._queue.get(job.id)
        if feed is None or not job.results.pending:
            return DeliveryStatus()
        if feed.error is not None:
            resume_at = max(feed.resume_at, self._resume_at)
            if feed.is_probe:
                resume_at = max(resume_at, self._clock.seconds() + self._probe_in)
            return DeliveryStatus(feed.state, feed.error, self._time(resume_at))
        if self._state != OK:
            return DeliveryStatus(self._state, self._error, self._time(self._resume_at))
        return DeliveryStatus()

    @property
    def state(self) -> str:
        """The worst state that the delivery of a run with results pending is in."""
        states = [
            self._state if feed.error is None else feed.state
            for feed in self._queue
            if feed.job.results.pending
        ]
        return max(states, key=STATES.index, default=OK)

    def abandon(self, job: Job) -> int:
        """Count what is pending of a job that is over as abandoned, and return how much it is.

        The job is for the caller to save. What is being pushed at this moment counts as abandoned
        too, whatever the answer.
        """
        feed = self._queue.get(job.id)
        if feed is not None:
            self._queue.remove(feed)
        given_up, checkpoint = job.results.pending, job.checkpoint
        checkpoint.abandoned += given_up
        checkpoint.committed = max(checkpoint.committed, job.verified_range.stop)
        return given_up

    # The loop.

    async def _run(self) -> None:
        while True:
            now = self._clock.seconds()
            if self._deadline is not None and now >= self._deadline:
                return
            if now < self._resume_at:
                await self._wait(self._resume_at - now)
                continue
            seconds, feed = self._queue.next(now, at_once=self._is_stopping)
            if feed is None:
                if self._is_stopping:
                    return
                await self._wait(seconds)
                continue
            try:
                await self._advance(feed)
            except _Stopped:
                raise
            except Exception as error:
                if self._is_stopping and isinstance(error, CancelledError):
                    raise
                self._retry_later(feed, error)
            if self._is_broken:
                self._is_broken = False
                self._fault(None)

    @property
    def _is_stopping(self) -> bool:
        return self._deadline is not None

    async def _load(self, feed: RunFeed) -> bool:
        """Decode what comes next in turns: lines that take long hold nothing else up.

        Return whether it is still to be delivered.
        """
        await cooperate(self._clock, feed.load(self._size))
        return not feed.closed

    async def _advance(self, feed: RunFeed) -> None:
        """Bring `feed` one batch further, or remove it at its end."""
        if not await self._load(feed):
            return
        batch = feed.next(self._size)
        if batch is None:
            self._count_missing(feed)
            if feed.complete:
                self._save(feed.job)
                self._queue.remove(feed)
            return
        if not batch.results:
            self._commit(feed)
            # A log may hold gigabytes of this: let others have their turn.
            await deferLater(self._clock, 0.0)
            return
        begun = self._clock.seconds()
        job = feed.job
        answer = await self._push(job.spec.name, f"{job.id}/{batch.key}", batch.body())
        if feed.closed:
            return  # its results were given up meanwhile
        if self._deadline is not None and self._clock.seconds() > self._deadline:
            raise _Stopped  # it did not heed being cancelled
        seconds = self._clock.seconds() - begun
        verdict = answer.disposition
        if verdict is Disposition.RETRY:
            self._fail(feed, batch, answer, seconds)
        elif verdict is Disposition.PAUSE and answer.certificate:
            self._pause_output(HOLDING, answer, PROBE_SECONDS)
            self._queue.rotate()
            self._put_back(feed)
        elif verdict is Disposition.PAUSE:
            self._output_works()
            self._pause_run(feed, answer)
        elif verdict is Disposition.SPLIT:
            self._output_works()
            if batch.results > 1:
                feed.split()
            else:
                self._refuse(feed, answer)
        else:
            self._take(feed, batch, seconds)

    def _take(self, feed: RunFeed, batch: Batch, seconds: float) -> None:
        """Commit a batch that was taken."""
        now = self._clock.seconds()
        self._output_works()
        self._taken += 1
        self._size.taken(batch.results, batch.body_bytes, seconds)
        self._probes.delivered(now, probe=feed.is_probe)
        feed.refusals = 0 if feed.is_probe else max(0, feed.refusals - batch.results)
        feed.succeed()
        self._commit(feed, delivered=batch.results)

    def _fail(self, feed: RunFeed, batch: Batch, answer: Response, seconds: float) -> None:
        """Wait before the same results are tried again; an agent that stops does not."""
        is_own = (
            answer.reached and feed.failed_after is not None and self._taken > feed.failed_after
        )
        now = self._clock.seconds()
        feed.failures += 1
        feed.failed_after = self._taken
        patience = failures_until_smaller(answer)
        if patience is not None and feed.failures >= patience:
            feed.shrink(batch.results)
            if not is_own:
                self._size.failed(batch.results)
        if is_own:
            delay = max(feed.backoff.next_delay(answer.retry_after), _REST_PER_FAILURE * seconds)
            if feed.is_probe:
                self._probes.refused(now, live=not feed.complete)
            self._pause(feed, RETRYING, str(answer), delay)
            return
        self._pause_output(RETRYING, answer, self._backoff.next_delay(answer.retry_after))
        self._queue.rotate()
        self._put_back(feed)

    def _pause_run(self, feed: RunFeed, answer: Response) -> None:
        """Pause a run whose name is refused; the others go on."""
        feed.proven = False
        feed.failures, feed.failed_after = 0, None
        self._probes.refused(self._clock.seconds(), live=not feed.complete)
        self._pause(feed, HOLDING, str(answer), PROBE_SECONDS)

    def _refuse(self, feed: RunFeed, answer: Response) -> None:
        """Reject one result, or pause its run when the output refuses most of them."""
        results = feed.job.results
        bound = REJECT_LIMIT_IF_MOST if results.rejected >= results.delivered else REJECT_LIMIT
        if feed.refusals + 1 < bound:
            feed.reject(answer)
            self._commit(feed, rejected=1)
            return
        feed.failures, feed.failed_after = 0, None
        self._probes.refused(self._clock.seconds(), live=not feed.complete)
        self._pause(feed, HOLDING, f"most results are refused: {answer}", PROBE_SECONDS)

    def _retry_later(self, feed: RunFeed, error: Exception) -> None:
        """Pause a run whose log cannot be read, or on which a defect showed."""
        if feed.closed:
            return
        if feed.error != str(error):
            self._log.failure("delivery of job {id} broke", id=feed.job.id)
        feed.failures, feed.failed_after = 0, None
        feed.pause(RETRYING, str(error), self._clock.seconds() + PROBE_SECONDS)
        self._queue.pause(feed)

    def _pause(self, feed: RunFeed, state: str, error: str, seconds: float) -> None:
        """Let one run wait while the others go on."""
        if feed.state != state:
            self._log.warn(
                "delivery of job {id} is {state}: {error}",
                id=feed.job.id,
                state=state,
                error=error,
            )
        feed.pause(state, error, self._clock.seconds() + seconds)
        self._queue.pause(feed)

    def _put_back(self, feed: RunFeed) -> None:
        """Have a run that was tried as a probe be tried again; nothing was learnt of it."""
        if feed.error is not None:
            self._probes.postpone(self._clock.seconds())
            feed.resume_at = self._resume_at
            self._queue.pause(feed)

    def _pause_output(self, state: str, answer: Response, seconds: float) -> None:
        """Send nothing for so long; an agent that stops sends nothing any more."""
        self._state, self._error = state, str(answer)
        self._resume_at = self._clock.seconds() + seconds
        if self._is_stopping:
            raise _Stopped

    def _output_works(self) -> None:
        """Note that the output has answered."""
        self._backoff.reset()
        self._state, self._error = OK, ""

    def _commit(self, feed: RunFeed, delivered: int = 0, rejected: int = 0) -> None:
        for body_bytes in feed.commit(delivered, rejected):
            self._size.too_large(body_bytes)
        self._count_missing(feed)
        self._save(feed.job)

    def _count_missing(self, feed: RunFeed) -> None:
        """Count results as abandoned whose lines are gone from the log."""
        checkpoint, missing = feed.job.checkpoint, feed.missing()
        if not missing:
            return
        sentence = (
            f"out.log of job {feed.job.id} was changed by another program: {missing} results that"
            " were not delivered are gone from it, and count as abandoned"
        )
        if checkpoint.abandoned:  # an operator knows: one that is cut every minute fills no list
            self._log.warn("{sentence}", sentence=sentence)
        else:
            self._notice(sentence)
        checkpoint.abandoned += missing

    async def _wait(self, seconds: float) -> None:
        """Wait so long, or until `_wake`."""
        self._sleep = Deferred()
        timer = None
        if seconds != float("inf"):
            timer = self._clock.callLater(seconds, self._wake)
        try:
            await self._sleep
        finally:
            self._sleep = None
            if timer is not None and timer.active():
                timer.cancel()

    def _wake(self) -> None:
        if self._sleep is not None:
            sleep, self._sleep = self._sleep, None
            sleep.callback(None)

    def _broken(self, failure: Failure) -> None:
        """Begin again after a defect ended the loop; it is logged once."""
        if self._is_stopping:
            return
        if not self._is_broken:
            self._log.failure("delivery broke and begins again", failure)
            self._is_broken = True
            self._fault(
                f"Delivery has failed by a defect, and begins again: {failure.getErrorMessage()}."
            )
        self._restart = self._clock.callLater(RESTART_SECONDS, self.start)

    @property
    def _probe_in(self) -> float:
        return self._probes.probe_in(self._clock.seconds())

    def _time(self, seconds: float) -> datetime:
        """Return the time of day when the clock is at `seconds`."""
        return self._now() + timedelta(seconds=max(0.0, seconds - self._clock.seconds()))


class _Stopped(Exception):
    """The agent stops while the output takes nothing."""
