"""Takes the jobs of the queue one at a time, in order, and has each one run.

One at a time on purpose: load tests beside each other falsify each other. While the machine does
not allow a run, the queue is paused and its first job is tried again, at doubling intervals.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from goloagent.core.host_fault import HostFault
from goloagent.core.stats.run_stats import RunStatistics
from goloagent.jobs.database import Store
from goloagent.jobs.job import FailureReason, Job, State
from goloagent.runs import messages, outcome
from goloagent.runs.run import Run

FIRST_RETRY_SECONDS = 1.0
MAX_RETRY_SECONDS = 30.0
# What is left of a job after so long is left: the next one does not wait for it.
END_SURVIVORS_SECONDS = 15.0


class JobScheduler:
    """Runs what `store` has queued, by `make_run`; `end_survivors` clears up after each."""

    _log = Logger()

    def __init__(
        self,
        store: Store,
        make_run: Callable[[Job], Run],
        end_survivors: Callable[[Job], Deferred[None]],
        now: Callable[[], datetime],
        clock: IReactorTime,
        save: Callable[[Job], None],
    ) -> None:
        self._store = store
        self._make_run = make_run
        self._end_survivors = end_survivors
        self._now = now
        self._running: Run | None = None
        self._run_over: Deferred[None] = succeed(None)
        self._accepting = False
        self._clock = clock
        self._save = save
        self._fault: HostFault | None = None
        self._waiting: Job | None = None  # the job that the pause is for
        self._retry: IDelayedCall | None = None
        self._retry_seconds = FIRST_RETRY_SECONDS

    def start(self) -> None:
        """Begin with the first job of the queue."""
        self._accepting = True
        self.start_next()

    def start_next(self) -> None:
        """Take the next job, when there is one, none is running and the queue is not paused."""
        if not self._accepting or self._running is not None or self._retry is not None:
            return
        job = next(iter(self._store.queued()), None)
        if job is None:
            self._fault, self._retry_seconds = None, FIRST_RETRY_SECONDS
            return
        if self._fault is None:
            self._log.info("{sentence}", sentence=messages.starts(job))
        self._run_over = maybeDeferred(self._run, job)
        self._run_over.addErrback(self._failed, job)
        self._run_over.addCallback(lambda _: self._reap_leftovers(job))
        self._run_over.addErrback(self._reaping_failed, job)
        self._run_over.addCallback(self._next)

    @property
    def fault(self) -> HostFault | None:
        """What keeps the queue paused, or None."""
        launched = self._running is not None and self._running.has_launched
        return None if launched else self._fault

    @property
    def running(self) -> Run | None:
        """The run under way; its job may be over, while what it has left is cleared up."""
        return self._running

    def statistics_of(self, job: Job) -> RunStatistics | None:
        """Return the live statistics of `job`, or None if it does not run."""
        run = self._running
        return run.statistics if run is not None and run.job is job else None

    def check_space(self) -> None:
        """Have the running job end when the disk is about to be full."""
        if self._running is not None:
            self._running.check_space()

    def cancel(self, job: Job) -> bool:
        """Bring a job that is not over to its end: at once when it waits, in order when it runs.

        Return whether the disk has that; if not, it has it as soon as it takes it, and a job that
        waits is over all the same. One that an earlier life has left running is brought to its end
        by the recovery; after that one without a run is over by this.
        """
        run = self._running
        # The job of one that is over may be back in the queue, while its remains are cleared up.
        if run is not None and run.job is job and not run.is_over:
            run.cancel(outcome.CANCELLED)
            return True
        if job.state.over or not (self._accepting or job.state is State.QUEUED):
            return True
        kept = self._end(job, State.CANCELLED, outcome.CANCELLED)
        if self._retry is not None and job is self._waiting:
            self._end_pause()
        return kept

    def stop(self, cause: FailureReason = outcome.AGENT_STOPPED) -> Deferred[None]:
        """Take no further job and bring the running one to its end; fires when it is over."""
        self._accepting = False
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        over: Deferred[None] = Deferred()
        self._run_over.addCallback(over.callback)
        if self._running is not None:
            self._running.cancel(cause)
        return over

    def _run(self, job: Job) -> Deferred[None]:
        self._running = self._make_run(job)
        return self._running.start()

    def _reap_leftovers(self, job: Job) -> Deferred[None]:
        """End what the job has left, in bounded time."""
        clearing = maybeDeferred(self._end_survivors, job)
        return clearing.addTimeout(END_SURVIVORS_SECONDS, self._clock)

    def _next(self, _: None) -> None:
        run, self._running = self._running, None
        fault = run.fault if run is not None else None
        if fault is not None:
            self._pause(fault)
            return
        if self._fault is not None and run is not None and run.has_launched:
            self._log.info("the queue goes on: it was paused by {fault}", fault=self._fault.status)
            self._fault = None
        self._retry_seconds = FIRST_RETRY_SECONDS
        self.start_next()

    def _pause(self, fault: HostFault) -> None:
        """Try the first job of the queue again in a while; say so once."""
        if self._fault is None or self._fault.status != fault.status:
            self._log.warn(
                "the queue is paused, {status}: {sentence}",
                status=fault.status,
                sentence=fault.sentence,
            )
        self._fault = fault
        if self._accepting:
            self._waiting = next(iter(self._store.queued()), None)
            self._retry = self._clock.callLater(self._retry_seconds, self._end_pause)
            self._retry_seconds = min(2 * self._retry_seconds, MAX_RETRY_SECONDS)

    def _end_pause(self) -> None:
        retry, self._retry = self._retry, None
        if retry is not None and retry.active():
            retry.cancel()
        self.start_next()

    def _failed(self, failure: Failure, job: Job) -> None:
        """Have a job be over whose run broke."""
        self._log.failure("the run of job {id} broke", failure, id=job.id)
        if not job.state.over:
            sentence = f"The run broke: {failure.getErrorMessage()}."
            self._end(job, State.FAILED, FailureReason("internal-error", sentence))

    def _end(self, job: Job, state: State, cause: FailureReason) -> bool:
        """Have a job without a run be over; return whether that is kept already."""
        job.state, job.cause, job.ended_at = state, cause, self._now()
        try:
            self._save(job)
        except OSError as error:
            self._log.warn("job {id} is not saved yet: {error}", id=job.id, error=error)
            return False
        return True

    def _reaping_failed(self, failure: Failure, job: Job) -> None:
        self._log.failure("what job {id} has left may still run", failure, id=job.id)
