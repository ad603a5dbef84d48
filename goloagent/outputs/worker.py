"""The worker of one output: a loop that sends the results of all runs, batch by batch.

Within a run the batches are in order. Results stay in the log until they are committed.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta

from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from goloagent.concurrency.cooperation import cooperate
from goloagent.core.output_schemes import COLLECTOR
from goloagent.jobs.job import Job
from goloagent.outputs.checkpoint import Account
from goloagent.outputs.delivery import Delivery
from goloagent.outputs.feed import Feed
from goloagent.outputs.sink import Send
from goloagent.outputs.status import DeliveryStatus

RESTART_SECONDS = 30.0


class OutputWorker:
    """Delivers the results of each run passed to `begin`.

    Args:
        send: sends a batch; may be cancelled.
        make_feed: makes the feed of a job.
        save: saves a job with its checkpoint.
        fault: called with a sentence if the loop has failed, and with None when it works again.
        notice: called with a sentence for the operator.
        output: the name of the output.
    """

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        now: Callable[[], datetime],
        send: Send,
        make_feed: Callable[[Account], Feed],
        save: Callable[[Job], None],
        fault: Callable[[str | None], None] = lambda sentence: None,
        notice: Callable[[str], None] = lambda sentence: None,
        output: str = COLLECTOR,
    ) -> None:
        self._clock = clock
        self._now = now
        self._send = send
        self._make_feed = make_feed
        self._output = output
        self._fault = fault
        self._delivery = Delivery(output, save, notice)
        self._sleep: Deferred[None] | None = None
        self._loop: Deferred[None] | None = None
        self._restart: IDelayedCall | None = None
        self._has_failed = False
        self._stop_at: float | None = None

    def start(self) -> None:
        """Start the loop."""
        self._restart = None
        self._loop = ensureDeferred(self._run())
        self._loop.addErrback(self._loop_failed)

    def stop(self, seconds: float) -> Deferred[None]:
        """Send what the backend accepts in `seconds`, then stop."""
        assert self._loop is not None
        self._stop_at = self._clock.seconds() + seconds
        self._delivery.resume_at = 0.0  # a paused output is tried once more
        if self._restart is not None:
            self._restart.cancel()
            self._restart = None
        stopped: Deferred[None] = Deferred()
        timeout = self._clock.callLater(seconds, self._cancel_loop, stopped)

        def ended(_: object) -> None:
            if timeout.active():
                timeout.cancel()
                self._end(stopped)

        self._loop.addBoth(ended)
        self._wake()
        return stopped

    def _cancel_loop(self, stopped: Deferred[None]) -> None:
        assert self._loop is not None
        self._loop.cancel()
        self._end(stopped)

    def _end(self, stopped: Deferred[None]) -> None:
        self._delivery.queue.close()
        stopped.callback(None)

    # Calls of runs.

    def begin(self, job: Job) -> None:
        """Deliver the results of `job` from its checkpoint on; a second time does nothing."""
        if self._delivery.queue.get(job.id) is not None:
            return
        self._delivery.queue.add(feed := self._make_feed(Account(job, self._output)))
        if not job.state.over:
            with suppress(Exception):  # now, because its name may be removed or replaced
                feed.open()
        self._wake()  # a timeline grows without results

    def on_appended(self, job: Job) -> None:
        """Handle growth of the log of `job`."""
        feed = self._delivery.queue.get(job.id)
        now = self._clock.seconds()
        if feed is not None and feed.on_appended(now) and now >= self._delivery.resume_at:
            self._wake()

    def end(self, job: Job) -> None:
        """Send the rest, because the log of `job` is complete."""
        feed = self._delivery.queue.get(job.id)
        if feed is not None:
            feed.complete = True
            if self._clock.seconds() < self._delivery.resume_at:
                feed.release()  # because any number of runs may end during an outage
            self._wake()

    # Calls of the API.

    def status(self, job: Job) -> DeliveryStatus:
        """Return the state of a job's delivery."""
        return self._delivery.status(job, self._clock.seconds(), self._time_of)

    @property
    def state(self) -> str:
        """The worst state among the runs with pending results."""
        return self._delivery.state

    def abandon(self, job: Job) -> int:
        """Give up the pending results of a job that is over; return their number.

        The caller saves the job. Results in a push that is under way are given up too.
        """
        return self._delivery.abandon(job)

    # The loop.

    async def _run(self) -> None:
        delivery = self._delivery
        while True:
            now = self._clock.seconds()
            if self._stop_at is not None and now >= self._stop_at:
                return
            if now < delivery.resume_at:
                await self._wait(delivery.resume_at - now)
                continue
            seconds, feed = delivery.queue.next(now, at_once=self._is_stopping)
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
                self._feed_failed(feed, error)
            if self._has_failed:
                self._has_failed = False
                self._fault(None)

    @property
    def _is_stopping(self) -> bool:
        return self._stop_at is not None

    async def _advance(self, feed: Feed) -> None:
        """Send the next batch of a feed, or handle its end."""
        delivery = self._delivery
        # Parsing yields, because lines may take long.
        await cooperate(self._clock, feed.load_steps(delivery.size))
        if feed.closed:
            return  # abandoned meanwhile
        batch = feed.next(delivery.size)
        if batch is None:
            delivery.end_of_log(feed)
            return
        if batch.is_empty:
            delivery.commit(feed)
            # Yield, because a log may contain gigabytes of other lines.
            await deferLater(self._clock, 0.0)
            return
        job, begun = feed.job, self._clock.seconds()
        response = await self._send(job, batch, feed.account.checkpoint.done)
        if delivery.queue.get(job.id) is not feed:
            return  # abandoned meanwhile, and perhaps begun again
        now = self._clock.seconds()
        if self._stop_at is not None and now > self._stop_at:
            raise _Stopped  # it ignored its cancel
        if not delivery.handle(feed, batch, response, now, now - begun) and self._is_stopping:
            raise _Stopped

    def _feed_failed(self, feed: Feed, error: Exception) -> None:
        """Pause a run whose log cannot be read, or which shows a defect; log it once."""
        if feed.closed:
            return
        if feed.attempts.error != str(error):
            self._log.failure("the delivery of job {job} failed; it is retried", job=feed.job.id)
        self._delivery.fail(feed, str(error), self._clock.seconds())

    async def _wait(self, seconds: float) -> None:
        """Wait until `_wake`, at most a number of seconds."""
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

    def _loop_failed(self, failure: Failure) -> None:
        """Restart the loop after a defect, which is logged once."""
        if self._is_stopping:
            return
        if not self._has_failed:
            self._log.failure("the delivery loop failed; it restarts in 30 s", failure)
            self._has_failed = True
            self._fault(
                f"Delivery has failed by a defect, and begins again: {failure.getErrorMessage()}."
            )
        self._restart = self._clock.callLater(RESTART_SECONDS, self.start)

    def _time_of(self, seconds: float) -> datetime:
        """Return the time of day when the clock is at `seconds`."""
        return self._now() + timedelta(seconds=max(0.0, seconds - self._clock.seconds()))


class _Stopped(Exception):
    """The agent stops, and the backend accepts nothing."""
