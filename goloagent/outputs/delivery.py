"""The decisions of one output: which run is next, and what each response changes.

A failure pauses the whole output, unless it is known to be the run's own: if the response depends
on the run's name, or if others were delivered since the run failed before.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from twisted.logger import Logger

from goloagent.jobs.job import Job
from goloagent.outputs.batch_size import AdaptiveBatchSize
from goloagent.outputs.checkpoint import Account
from goloagent.outputs.fair_queue import FairQueue
from goloagent.outputs.feed import Feed, UnitBatch
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

# A run that fails while others are delivered gets at most a fifth of the time.
_REST_PER_FAILURE = 4.0


class Delivery:
    """The state of one output. All times are those of one monotonic clock.

    Args:
        output: its name.
        save: saves a job with its checkpoint.
        notice: called with a sentence for the operator.
    """

    _log = Logger()

    def __init__(
        self, output: str, save: Callable[[Job], None], notice: Callable[[str], None]
    ) -> None:
        self._output = output
        self._save = save
        self._notice = notice
        self._probes = ProbePacer()
        self._backoff = Backoff()
        self._state, self._error = OK, ""
        self._deliveries = 0
        self.queue = FairQueue(self._probes)
        self.size = AdaptiveBatchSize()
        self.resume_at = 0.0
        """The end of a pause of the whole output."""

    def handle(
        self, feed: Feed, batch: UnitBatch, response: Response, now: float, seconds: float
    ) -> bool:
        """Change the states by a response that took `seconds`; return whether the output goes on.

        It does not if the whole output is paused.

        Raises:
            OSError: a rejected result cannot be written.
        """
        if response.disposition is Disposition.RETRY:
            return self._handle_failure(feed, batch, response, now, seconds)
        if response.disposition is Disposition.PAUSE and response.certificate:
            self._pause_all(feed, HOLDING, response, now, PROBE_SECONDS)
            return False
        self._backoff.reset()
        self._state, self._error = OK, ""
        if response.disposition is Disposition.PAUSE:
            feed.attempts.proven = False
            self._hold(feed, str(response), now)
        elif response.disposition is Disposition.DELIVERED:
            self._handle_success(feed, batch, now, seconds)
        elif batch.units > 1:
            feed.split()
        else:
            self._reject(feed, batch, response, now)
        return True

    def commit(self, feed: Feed, delivered: int = 0, rejected: int = 0) -> None:
        """Commit the first batch of a feed."""
        for body_bytes in feed.commit(delivered, rejected):
            self.size.too_large(body_bytes)
        self._abandon_missing(feed)
        self._save(feed.job)

    def end_of_log(self, feed: Feed) -> None:
        """Handle a feed without a next batch, which ends if its log is complete."""
        self._abandon_missing(feed)
        if feed.complete and feed.is_finished:
            feed.account.checkpoint.finished = True
            self._save(feed.job)
            self.queue.remove(feed)

    def fail(self, feed: Feed, error: str, now: float) -> None:
        """Pause a run because its log cannot be read, or because of a defect."""
        feed.attempts.forget_failures()
        self._set_aside(feed, RETRYING, error, now + PROBE_SECONDS)

    def abandon(self, job: Job) -> int:
        """Give up the pending results of a job that is over; return their number.

        The caller saves the job. Results in a push that is under way are given up too.
        """
        feed = self.queue.get(job.id)
        if feed is not None:
            self.queue.remove(feed)
        return Account(job, self._output).abandon()

    def status(self, job: Job, now: float, time_of: Callable[[float], datetime]) -> DeliveryStatus:
        """Return the state of a job's delivery; `time_of` converts a time of the clock."""
        feed = self.queue.get(job.id)
        if feed is None or not feed.account.has_pending:
            return DeliveryStatus()
        attempts = feed.attempts
        if attempts.error is not None:
            resume_at = max(attempts.resume_at, self.resume_at)
            if attempts.is_probe:
                resume_at = max(resume_at, now + self._probes.probe_in(now))
            return DeliveryStatus(attempts.state, attempts.error, time_of(resume_at))
        if self._state != OK:
            return DeliveryStatus(self._state, self._error, time_of(self.resume_at))
        return DeliveryStatus()

    @property
    def state(self) -> str:
        """The worst state among the runs with pending results."""
        states = [
            self._state if feed.attempts.error is None else feed.attempts.state
            for feed in self.queue
            if feed.account.results.pending
        ]
        return max(states, key=STATES.index, default=OK)

    def _handle_success(self, feed: Feed, batch: UnitBatch, now: float, seconds: float) -> None:
        self._deliveries += 1
        self.size.delivered(batch.units, batch.body_bytes, seconds)
        self._probes.delivered(now, probe=feed.attempts.is_probe)
        feed.attempts.succeed(batch.units)
        self.commit(feed, delivered=batch.results)

    def _handle_failure(
        self, feed: Feed, batch: UnitBatch, response: Response, now: float, seconds: float
    ) -> bool:
        attempts = feed.attempts
        is_own = response.reached and attempts.is_own_failure(self._deliveries)
        attempts.fail(self._deliveries)
        limit = failures_until_smaller(response)
        if limit is not None and attempts.failures >= limit:
            attempts.shrink(batch.units)
            if not is_own:
                self.size.failed(batch.units)
        if not is_own:
            delay = self._backoff.next_delay(response.retry_after)
            self._pause_all(feed, RETRYING, response, now, delay)
            return False
        delay = attempts.backoff.next_delay(response.retry_after)
        if attempts.is_probe:
            self._probes.refused(now, live=not feed.complete)
        delay = max(delay, _REST_PER_FAILURE * seconds)
        self._pause(feed, RETRYING, str(response), now + delay)
        return True

    def _reject(self, feed: Feed, batch: UnitBatch, response: Response, now: float) -> None:
        """Reject one result, or pause its run if most of its results are refused."""
        results = feed.account.results
        limit = REJECT_LIMIT_IF_MOST if results.rejected >= results.delivered else REJECT_LIMIT
        if feed.attempts.rejections + 1 < limit:
            feed.reject(response)
            self.commit(feed, rejected=batch.results)
        else:
            self._hold(feed, f"most results are refused: {response}", now)

    def _hold(self, feed: Feed, error: str, now: float) -> None:
        """Pause a run that is refused; the others continue."""
        feed.attempts.forget_failures()
        self._probes.refused(now, live=not feed.complete)
        self._pause(feed, HOLDING, error, now + PROBE_SECONDS)

    def _pause(self, feed: Feed, state: str, error: str, resume_at: float) -> None:
        """Pause a run because of a response; log its new state."""
        if feed.attempts.state != state:
            self._log.warn(
                "delivery of job {job} is {state}: {error}",
                job=feed.job.id,
                state=state,
                error=error,
            )
        self._set_aside(feed, state, error, resume_at)

    def _set_aside(self, feed: Feed, state: str, error: str, resume_at: float) -> None:
        feed.attempts.pause(state, error, resume_at)
        feed.release()
        self.queue.pause(feed)

    def _pause_all(
        self, feed: Feed, state: str, response: Response, now: float, seconds: float
    ) -> None:
        """Pause the output; after it another run that is over may be first."""
        self._state, self._error = state, str(response)
        self.resume_at = now + seconds
        self.queue.rotate()
        if feed.attempts.error is not None:  # it stays a probe
            self._probes.postpone(now)
            feed.attempts.resume_at = self.resume_at
            self.queue.pause(feed)

    def _abandon_missing(self, feed: Feed) -> None:
        """Abandon results that are gone."""
        missing = feed.missing()
        if not missing:
            return
        sentence = feed.describe_missing(missing)
        if feed.account.results.abandoned:  # one notice a job, however often its log is cut
            self._log.warn("{sentence}", sentence=sentence)
        else:
            self._notice(sentence)
        feed.account.abandon()
