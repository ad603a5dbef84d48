"""What stands in the worker's place without an output: results are counted and stay in the logs.

They count as abandoned, as nobody will get them. Those that an earlier life has left pending for a
collector are not given up: they wait for a start that names one.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime

from goloagent.jobs.job import Job
from goloagent.outputs.status import HOLDING, NONE, OK, DeliveryStatus

SAVE_SECONDS = 0.5
_WAITING = DeliveryStatus(HOLDING, "there is no collector (--collector none)")


class NoOutput:
    """Has the interface of `OutputWorker`; `save` keeps a job with what is counted."""

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
        """Take up a job: one that runs, or one that an earlier life has left."""
        results = job.results
        # What a run first counts is saved at once: it says that there was no collector.
        self._saved_at = float("-inf")
        if job.state.over and (results.delivered or results.rejected or not results.abandoned):
            self._waiting[job.id] = job  # it began with a collector

    def on_appended(self, job: Job) -> None:
        """Count what is in the log of `job`, of which there is more."""
        _abandon(job)
        if self._clock.seconds() - self._saved_at >= SAVE_SECONDS:
            self._saved_at = self._clock.seconds()
            self._save(job)

    def end(self, job: Job) -> None:
        """Count the rest: the log of `job` is complete."""
        if job.id not in self._waiting:
            _abandon(job)
            self._save(job)

    def status(self, job: Job) -> DeliveryStatus:
        """Return what becomes of a job's results."""
        waits = job.id in self._waiting and job.results.pending
        return _WAITING if waits else DeliveryStatus(NONE)

    @property
    def state(self) -> str:
        """The worst state that the delivery of a job with results pending is in."""
        return HOLDING if any(job.results.pending for job in self._waiting.values()) else OK

    def abandon(self, job: Job) -> int:
        """Count what is pending of a job that is over as abandoned, and return how much it is."""
        self._waiting.pop(job.id, None)
        return _abandon(job)


def _abandon(job: Job) -> int:
    pending, checkpoint = job.results.pending, job.checkpoint
    checkpoint.abandoned += pending
    checkpoint.committed = max(checkpoint.committed, job.verified_range.stop)
    return pending
