"""The scheduler: runs the queued jobs one at a time, in order.

One at a time, because concurrent load tests distort each other's results. If the host does not
allow a run, the queue is paused and its first job is tried again at doubling intervals.
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
from goloagent.runs.judge import Judge
from goloagent.runs.run import Run

FIRST_RETRY_SECONDS = 1.0
MAX_RETRY_SECONDS = 30.0
# The next job waits this long for the end of a job's orphans.
REAP_SECONDS = 15.0


class JobScheduler:
    """Runs the queued jobs of `store`.

    Args:
        make_run: creates the run of a job.
        reap_leftovers: ends the processes that a job has left.
        save: saves and publishes a job. Raises OSError if that is postponed.
    """

    _log = Logger()

    def __init__(
        self,
        store: Store,
        make_run: Callable[[Job], Run],
        reap_leftovers: Callable[[Job], Deferred[None]],
        now: Callable[[], datetime],
        clock: IReactorTime,
        save: Callable[[Job], None],
    ) -> None:
        self._store = store
        self._make_run = make_run
        self._reap = reap_leftovers
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
        """Start the queue."""
        self._accepting = True
        self.start_next()

    def start_next(self) -> None:
        """Run the next job, unless one is running or the queue is paused."""
        if not self._accepting or self._running is not None or self._retry is not None:
            return
        job = next(iter(self._store.queued()), None)
        if job is None:
            self._fault, self._retry_seconds = None, FIRST_RETRY_SECONDS
            return
        if self._fault is None:
            self._log.info("{sentence}", sentence=messages.starts(job), job=job.id)
        self._run_over = maybeDeferred(self._run, job)
        self._run_over.addErrback(self._failed, job)
        self._run_over.addCallback(lambda _: self._reap_leftovers(job))
        self._run_over.addErrback(self._reaping_failed, job)
        self._run_over.addCallback(self._next)

    @property
    def fault(self) -> HostFault | None:
        """The fault of the host that pauses the queue, or None."""
        launched = self._running is not None and self._running.has_launched
        return None if launched else self._fault

    @property
    def running(self) -> Run | None:
        """The current run; its job may be over already, while its leftovers are ended."""
        return self._running

    def statistics_of(self, job: Job) -> RunStatistics | None:
        """Return the live statistics of `job`, or None if it is not running."""
        run = self._running
        return run.statistics if run is not None and run.job is job else None

    def check_space(self) -> None:
        """End the running job if the disk is nearly full."""
        if self._running is not None:
            self._running.check_space()

    def cancel(self, job: Job) -> bool:
        """Cancel a job: a queued one is over at once, a running one ends in order.

        Return whether that is saved already. Before `start`, recovery ends the jobs that ran.
        """
        run = self._running
        # If the run is over its job may be queued again.
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
        """Start no further job and end the running one; fires when it is over."""
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
        """End the processes that the job has left, for at most `REAP_SECONDS`."""
        clearing = maybeDeferred(self._reap, job)
        return clearing.addTimeout(REAP_SECONDS, self._clock)

    def _next(self, _: None) -> None:
        run, self._running = self._running, None
        fault = run.fault if run is not None else None
        if fault is not None:
            self._pause(fault)
            return
        if self._fault is not None and run is not None and run.has_launched:
            self._log.info("the queue continues after {fault}", fault=self._fault.status)
            self._fault = None
        self._retry_seconds = FIRST_RETRY_SECONDS
        self.start_next()

    def _pause(self, fault: HostFault) -> None:
        """Pause the queue, log that once, and schedule a retry."""
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
        """End a job whose run raised an error."""
        self._log.failure("the run of job {job} failed", failure, job=job.id)
        if not job.state.over:
            sentence = f"The run failed: {failure.getErrorMessage()}."
            self._end(job, State.FAILED, FailureReason("internal-error", sentence))

    def _end(self, job: Job, state: State, cause: FailureReason) -> bool:
        """End a job without a run; return whether that is saved already."""
        job.state, job.cause, job.ended_at = state, cause, self._now()
        job.verdict = Judge(job).final()
        try:
            self._save(job)
        except OSError as error:
            self._log.warn("job {job} is saved later: {error}", job=job.id, error=error)
            return False
        return True

    def _reaping_failed(self, failure: Failure, job: Job) -> None:
        self._log.failure("processes of job {job} may still run", failure, job=job.id)
