"""Takes the jobs of the queue one at a time, in order, and has each one run.

One at a time on purpose: load tests beside each other falsify each other.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from goloagent.jobs import outcome, sentences
from goloagent.jobs.job import Cause, Job, State
from goloagent.jobs.store import Store
from goloagent.runs.run import Run


class Supervisor:
    """Runs what `store` has queued, by `make_run`; `end_survivors` clears up after each."""

    _log = Logger()

    def __init__(
        self,
        store: Store,
        make_run: Callable[[Job], Run],
        end_survivors: Callable[[Job], Deferred[None]],
        now: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._make_run = make_run
        self._end_survivors = end_survivors
        self._now = now
        self._running: Run | None = None
        self._run_over: Deferred[None] = succeed(None)
        self._open = False

    def start(self) -> None:
        """Begin with the first job of the queue."""
        self._open = True
        self.look()

    def look(self) -> None:
        """Take the next job, when there is one and none is running."""
        if not self._open or self._running is not None:
            return
        job = next(iter(self._store.queued()), None)
        if job is None:
            return
        self._log.info("{sentence}", sentence=sentences.starts(job))
        self._running = self._make_run(job)
        self._run_over = self._running.start()
        self._run_over.addErrback(self._failed)
        self._run_over.addCallback(lambda _: self._end_survivors(job))
        self._run_over.addErrback(self._failed)
        self._run_over.addCallback(self._next)

    @property
    def running(self) -> Run | None:
        """The run under way; its job may be over, while what it has left is cleared up."""
        return self._running

    def check_space(self) -> None:
        """Have the running job end when the disk is about to be full."""
        if self._running is not None:
            self._running.check_space()

    def cancel(self, job: Job) -> None:
        """Bring a job that is not over to its end: at once when it waits, in order when it runs.

        One that an earlier life has left running is brought to its end by the recovery.

        Raises:
            OSError: it waits, and that it is cancelled cannot be kept; it goes on waiting.
        """
        if self._running is not None and self._running.job is job:
            self._running.cancel(outcome.CANCELLED)
            return
        if job.state is not State.QUEUED:
            return
        job.state, job.cause, job.ended_at = State.CANCELLED, outcome.CANCELLED, self._now()
        try:
            self._store.save(job)
        except OSError:
            job.state, job.cause, job.ended_at = State.QUEUED, None, None
            raise

    def stop(self, cause: Cause = outcome.AGENT_STOPPED) -> Deferred[None]:
        """Take no further job and bring the running one to its end; fires when it is over."""
        self._open = False
        over: Deferred[None] = Deferred()
        self._run_over.addCallback(over.callback)
        if self._running is not None:
            self._running.cancel(cause)
        return over

    def _next(self, _: None) -> None:
        self._running = None
        self.look()

    def _failed(self, failure: Failure) -> None:
        self._log.failure("a run broke", failure)
