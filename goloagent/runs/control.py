"""Changes of jobs by clients: cancel, change the load, abandon results."""

from __future__ import annotations

from typing import Protocol

import attrs

from goloagent.jobs.job import Job, State
from goloagent.jobs.repository import JobRepository
from goloagent.runs.delivery import DeliveryQueue
from goloagent.runs.scheduler import JobScheduler
from goloagent.runs.steering import Change, ChangeRequest, ImpossibleChange


class Delivery(DeliveryQueue, Protocol):
    """The output, whose pending results can be abandoned."""

    def abandon(self, job: Job, name: str | None = None) -> int:
        """Count the pending results as abandoned, by one output or by all; return the number."""


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

    def change(self, job: Job, request: ChangeRequest) -> Change:
        """Change the load of a running job, and return what was made.

        Raises:
            InvalidChange: the change does not fit the job.
            ImpossibleChange: the job is not running, or was changed too often.
        """
        run = self.scheduler.running
        if run is None or run.job is not job or job.state is not State.RUNNING:
            raise ImpossibleChange(
                f"job {job.id} is {job.state.value}: only a running job can be changed"
            )
        return run.change(request)

    def abandon(self, job: Job, name: str | None = None) -> int:
        """Abandon the pending results of a job that is over, and return their number.

        Args:
            name: of an output that the job has; None for all.

        Raises:
            OSError: the change cannot be saved; the results are pending as before.
        """
        before, others = (
            attrs.evolve(job.checkpoint),
            {name: attrs.evolve(one) for name, one in job.outputs.items()},
        )
        count = self.delivery.abandon(job, name)
        try:
            self.jobs.change(job)
        except OSError:
            job.checkpoint, job.outputs = before, others
            self.delivery.begin(job)
            self.delivery.end(job)
            raise
        return count
