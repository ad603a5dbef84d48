"""All outputs of the agent: each gets the log of each run that chooses it.

An error of one output is logged, and reaches neither another one nor the run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs
from twisted.internet.defer import Deferred, DeferredList, ensureDeferred
from twisted.logger import Logger

from goloagent.core.output_schemes import COLLECTOR
from goloagent.jobs.job import Job
from goloagent.outputs.no_output import NoOutput
from goloagent.outputs.output import Output
from goloagent.outputs.status import OK, STATES, DeliveryStatus, OutputHealth
from goloagent.outputs.worker import OutputWorker


@attrs.define
class Outputs:
    """The outputs by name.

    Args:
        make_missing: makes the replacement for an output that a job has and the agent has not.
    """

    outputs: Mapping[str, Output]
    make_missing: Callable[[str], NoOutput]
    _missing: dict[str, NoOutput] = attrs.field(init=False, factory=dict)

    _log = Logger()

    def start(self) -> None:
        """Start all."""
        for output in self.outputs.values():
            output.start()

    def stop(self, seconds: float) -> Deferred[Any]:
        """Send what the backends accept in `seconds`, all at the same time, then stop."""
        stopping = [output.worker.stop(seconds) for output in self.outputs.values()]
        return DeferredList(stopping, consumeErrors=True)

    def close(self) -> Deferred[Any]:
        """Close all connections and files."""
        closing = [ensureDeferred(output.close()) for output in self.outputs.values()]
        return DeferredList(closing, consumeErrors=True)

    # Calls of runs.

    def assign(self, job: Job) -> None:
        """Give a job that starts the outputs that it chooses, which it keeps."""
        job.outputs = {
            name: output.new_checkpoint
            for name, output in self.outputs.items()
            if name != COLLECTOR and job.spec.chooses(name)
        }

    def begin(self, job: Job) -> None:
        """Deliver the results of `job` from its checkpoints on."""
        for name in job.checkpoints:
            self._notify(name, job, lambda worker: worker.begin(job))

    def on_appended(self, job: Job) -> None:
        """Handle growth of the log of `job`."""
        for name in job.checkpoints:
            self._notify(name, job, lambda worker: worker.on_appended(job))

    def end(self, job: Job) -> None:
        """Send the rest, because the log of `job` is complete."""
        for name in job.checkpoints:
            self._notify(name, job, lambda worker: worker.end(job))

    # Calls of the API.

    def status(self, job: Job) -> dict[str, DeliveryStatus]:
        """Return the state of a job's delivery to each of its outputs, the collector's first.

        A job that has not started has those that it would get now.
        """
        if not job.has_log and not job.state.over:
            return {
                name: DeliveryStatus(required=output.required, unit=output.unit)
                for name, output in self.outputs.items()
                if job.spec.chooses(name)
            }
        return {
            name: self._status(name, job)
            for name in job.checkpoints
            if name != COLLECTOR or not self._is_left_out(job)
        }

    def collector_status(self, job: Job) -> DeliveryStatus:
        """Return the state of a job's delivery to the collector."""
        return self._worker(COLLECTOR, job).status(job)

    def _is_left_out(self, job: Job) -> bool:
        """Return whether a job has nothing to do with a collector, but with other outputs."""
        return (
            bool(job.outputs)
            and isinstance(self._worker(COLLECTOR, job), NoOutput)
            and (not job.has_pending(COLLECTOR) and not job.checkpoint.delivered)
        )

    def _status(self, name: str, job: Job) -> DeliveryStatus:
        checkpoint = job.checkpoint_of(name)
        return attrs.evolve(
            self._worker(name, job).status(job),
            required=checkpoint.required,
            unit=checkpoint.unit,
            complete=job.state.over and not job.has_pending(name),
        )

    def health(self) -> dict[str, OutputHealth]:
        """Return whether each output accepts results."""
        return {
            name: OutputHealth(**attrs.asdict(output.availability.status), required=output.required)
            for name, output in self.outputs.items()
        }

    def states(self) -> dict[str, str]:
        """Return each output's worst state among its runs with pending results.

        Outputs that the agent has not, and jobs have, are there too.
        """
        states = {name: output.worker.state for name, output in self.outputs.items()}
        for name, missing in self._missing.items():
            # There are both for a name whose unit was changed.
            states[name] = max(missing.state, states.get(name, OK), key=STATES.index)
        return states

    def abandon(self, job: Job, name: str | None = None) -> int:
        """Give up the pending results of a job that is over, for one of its outputs or for all.

        The caller saves the job. Returns the number, summed over the outputs.
        """
        chosen = filter(job.has_pending, job.checkpoints) if name is None else [name]
        return sum(self._worker(name, job).abandon(job) for name in chosen)

    def _worker(self, name: str, job: Job) -> OutputWorker | NoOutput:
        output = self.outputs.get(name)
        is_same = output is not None and output.unit == job.checkpoint_of(name).unit
        if output is not None and is_same and job.spec.chooses(name):
            return output.worker
        if name not in self._missing:
            self._missing[name] = self.make_missing(name)
        return self._missing[name]

    def _notify(self, name: str, job: Job, call: Callable[[OutputWorker | NoOutput], None]) -> None:
        try:
            call(self._worker(name, job))
        except Exception:
            self._log.failure(
                "the results of job {job} cannot be delivered to {output}", job=job.id, output=name
            )
