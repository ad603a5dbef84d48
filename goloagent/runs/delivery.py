"""The delivery of a run's results, which no error of the output can end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from twisted.logger import Logger

from goloagent.jobs.job import Job


class DeliveryQueue(Protocol):
    """The outputs that deliver the results in the logs of runs."""

    def assign(self, job: Job) -> None:
        """Give the job that starts its outputs."""

    def begin(self, job: Job) -> None:
        """Follow the log of the job, which exists."""

    def on_appended(self, job: Job) -> None:
        """Deliver what was appended to the log."""

    def end(self, job: Job) -> None:
        """Deliver the rest: the log is complete."""


class RunDelivery:
    """Notifies `queue` of one job's log. Errors are logged, and the run goes on."""

    _log = Logger()

    def __init__(self, job: Job, queue: DeliveryQueue) -> None:
        self._job = job
        self._queue = queue
        self._begun = False

    def begin(self) -> None:
        """Begin, unless it has begun."""
        if not self._begun:
            self._begun = True
            self._notify(self._queue.begin)

    def on_appended(self) -> None:
        """Begin if necessary, and deliver what was appended."""
        self.begin()
        self._notify(self._queue.on_appended)

    def end(self) -> None:
        """End, also if nothing was printed, unless there is no log."""
        if self._job.has_log:
            self.begin()
        if self._begun:
            self._notify(self._queue.end)

    def _notify(self, method: Callable[[Job], None]) -> None:
        try:
            method(self._job)
        except Exception:
            self._log.failure("the results of job {job} cannot be delivered", job=self._job.id)
