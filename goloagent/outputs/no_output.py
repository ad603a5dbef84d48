"""The replacement of the worker if there is no output: results stay in the logs.

They count as abandoned. Results that a previous process left pending for a collector stay pending,
until the agent is started with one.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime

from goloagent.jobs.job import Job
from goloagent.outputs import checkpoint
from goloagent.outputs.status import HOLDING, NONE, OK, DeliveryStatus

SAVE_SECONDS = 0.5
_WAITING = DeliveryStatus(HOLDING, "there is no collector (--collector none)")


class NoOutput:
    """Has the interface of `OutputWorker`; `save` saves a job with its checkpoint."""

    def __init__(self, clock: IReactorTime, save: Callable[[Job], None]) -> None:
        self._clock = clock
        self._save = save
        self._saved_at = float("-inf")
        self._waiting: dict[str, Job] = {}

    def start(self) -> None:
        """Do nothing."""

    def stop(self, seconds: float) -> Deferred[None]:
        """Do nothing."""
        return succeed(None)

    def begin(self, job: Job) -> None:
        """Accept a job that runs, or that a previous process left."""
        results = job.results
        # The first checkpoint is saved at once, because it shows that there was no collector.
        self._saved_at = float("-inf")
        if job.state.over and (results.delivered or results.rejected or not results.abandoned):
            self._waiting[job.id] = job  # it began with a collector

    def on_appended(self, job: Job) -> None:
        """Abandon the new results in the log of `job`."""
        checkpoint.abandon(job)
        if self._clock.seconds() - self._saved_at >= SAVE_SECONDS:
            self._saved_at = self._clock.seconds()
            self._save(job)

    def end(self, job: Job) -> None:
        """Abandon the rest, because the log of `job` is complete."""
        if job.id not in self._waiting:
            checkpoint.abandon(job)
            self._save(job)

    def status(self, job: Job) -> DeliveryStatus:
        """Return the state of a job's delivery."""
        waits = job.id in self._waiting and job.results.pending
        return _WAITING if waits else DeliveryStatus(NONE)

    @property
    def state(self) -> str:
        """The worst state among the jobs with pending results."""
        return HOLDING if any(job.results.pending for job in self._waiting.values()) else OK

    def abandon(self, job: Job) -> int:
        """Give up the pending results of a job that is over; return their number."""
        self._waiting.pop(job.id, None)
        return checkpoint.abandon(job)
