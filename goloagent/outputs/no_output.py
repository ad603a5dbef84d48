"""The replacement of the worker of an output that the agent does not have.

Without a collector, or if a job chooses other outputs, results count as abandoned for it. Results
that a previous process left pending stay pending, until the agent is started with the output.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime

from goloagent.core.output_schemes import COLLECTOR
from goloagent.jobs.job import Job
from goloagent.outputs.checkpoint import Account
from goloagent.outputs.status import HOLDING, NONE, OK, DeliveryStatus

SAVE_SECONDS = 0.5


class NoOutput:
    """Has the interface of `OutputWorker`.

    Args:
        save: saves a job with its checkpoint.
        output: the name of the output that is not there.
    """

    def __init__(
        self, clock: IReactorTime, save: Callable[[Job], None], output: str = COLLECTOR
    ) -> None:
        self._output = output
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
        # The first checkpoint is saved at once, because it shows that there was no collector.
        self._saved_at = float("-inf")
        is_used = job.checkpoint_of(self._output).is_used
        if job.state.over and job.spec.chooses(self._output) and is_used:
            self._waiting[job.id] = job

    def on_appended(self, job: Job) -> None:
        """Abandon the new results in the log of `job`."""
        Account(job, self._output).abandon()
        if self._clock.seconds() - self._saved_at >= SAVE_SECONDS:
            self._saved_at = self._clock.seconds()
            self._save(job)

    def end(self, job: Job) -> None:
        """Abandon the rest, because the log of `job` is complete."""
        if job.id not in self._waiting:
            Account(job, self._output).abandon()
            self._save(job)

    def status(self, job: Job) -> DeliveryStatus:
        """Return the state of a job's delivery."""
        waits = job.id in self._waiting and job.has_pending(self._output)
        return DeliveryStatus(HOLDING, self._reason(job)) if waits else DeliveryStatus(NONE)

    @property
    def state(self) -> str:
        """The worst state among the jobs with pending results."""
        return (
            HOLDING if any(job.has_pending(self._output) for job in self._waiting.values()) else OK
        )

    def _reason(self, job: Job) -> str:
        if self._output == COLLECTOR:
            return "there is no collector (--collector none)"
        # The agent may have an output of this name with another unit.
        unit = job.checkpoint_of(self._output).unit
        return (
            f"the agent has no output {self._output} that sends {unit}s: start it with this output,"
            " or give up its results"
        )

    def abandon(self, job: Job) -> int:
        """Give up the pending results of a job that is over; return their number."""
        self._waiting.pop(job.id, None)
        return Account(job, self._output).abandon()
