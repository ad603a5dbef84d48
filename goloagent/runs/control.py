"""Changes of jobs by clients: cancel a job, and abandon results that cannot be delivered."""

from __future__ import annotations

from typing import Protocol

import attrs

from goloagent.jobs.job import Job
from goloagent.jobs.repository import JobRepository
from goloagent.runs.delivery import DeliveryQueue
from goloagent.runs.scheduler import JobScheduler


class Delivery(DeliveryQueue, Protocol):
    """The output, whose pending results can be abandoned."""

    def abandon(self, job: Job) -> int:
        """Count the pending results of the job as abandoned, and return their number."""


@attrs.frozen
class JobControl:
    """Changes jobs at the request of clients, and saves and publishes every change."""

    scheduler: JobScheduler
    jobs: JobRepository
    delivery: Delivery

    def cancel(self, job: Job) -> bool:
        """Cancel a job, and return whether that is saved."""
        saved = self.scheduler.cancel(job)
        self.jobs.publish(job)
        return saved

    def abandon(self, job: Job) -> int:
        """Abandon the pending results of a job that is over, and return their number.

        Raises:
            OSError: the change cannot be saved; the results are pending as before.
        """
        before = attrs.evolve(job.checkpoint)
        count = self.delivery.abandon(job)
        try:
            self.jobs.change(job)
        except OSError:
            job.checkpoint = before
            self.delivery.begin(job)
            self.delivery.end(job)
            raise
        return count
