"""The end of a run: closes and stores all that it has, and decides how its job ended."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import attrs
from twisted.internet.defer import maybeDeferred
from twisted.logger import Logger

from goloagent.jobs.job import Job, State
from goloagent.runs import messages, outcome
from goloagent.runs.dependencies import RunDependencies
from goloagent.runs.recorder import OutputRecorder
from goloagent.runs.run_load import RunLoad
from goloagent.runs.state_machine import RunStateMachine


@attrs.define
class RunEnding:
    """Ends the run of a job in steps; one that fails prevents no other.

    Args:
        recorder: None if the run was not prepared.
        save: saves the job, and raises nothing.
        ended: called at the end.
    """

    _log = Logger()

    job: Job
    deps: RunDependencies
    machine: RunStateMachine
    load: RunLoad
    recorder: OutputRecorder | None
    started_at: datetime
    save: Callable[[], None]
    ended: Callable[[], None]

    def end(self) -> None:
        """Count the rest of the output, then end everything."""
        if self.recorder is None:
            self._finalize()
        else:
            self.recorder.end(self._finalize)

    def _finalize(self) -> None:
        recorder = self.recorder
        steps: list[Callable[[], None]] = [self._decide, self.save, self._log_end]
        if recorder is not None:
            before = [recorder.read_stderr, recorder.close, self.load.sampler.stop]
            before.append(lambda: self._clean_up(recorder))
            if not self.machine.requeued:
                before.append(recorder.store_statistics)
            steps = [*before, *steps, recorder.delivery.end]
        for step in steps:
            try:
                step()
            except Exception:
                self._log.failure("ending job {job} failed", job=self.job.id)
        self.ended()

    def _decide(self) -> None:
        """Set how the job ended, or queue it as if it had not begun."""
        job, recorder = self.job, self.recorder
        cause = self.machine.cause
        job.state, job.cause = outcome.final_state(cause, job.calls, self.load.driver.last_error)
        if job.state is not State.QUEUED:
            job.started_at, job.ended_at = self.started_at, self.deps.now()
            is_cut = recorder is not None and recorder.prepared.writer.line_counter.is_cut
            job.warnings = tuple(outcome.warnings(job, is_cut))
            job.verdict = self.load.judge.final()
            self.deps.watchers.publish(job, "verdict", job.verdict)
            return
        job.started_at, job.exit, job.stderr_tail, job.verdict = None, None, "", None
        if recorder is not None:
            # A log would mean to the next start of the agent that the job has run.
            recorder.prepared.discard_log()
            # The next attempt gets the outputs that the agent has then.
            job.has_log, job.log_version, job.outputs = False, None, {}

    def _log_end(self) -> None:
        sentence = messages.ended(self.job, self.machine.cause)
        self._log.info("{sentence}", sentence=sentence, job=self.job.id, state=self.job.state.value)
        for warning in self.job.warnings:
            self._log.warn("job {job}: {warning}", job=self.job.id, warning=warning)

    def _clean_up(self, recorder: OutputRecorder) -> None:
        """Remove what the load test has left, in a thread."""
        removing = maybeDeferred(self.deps.in_thread, recorder.prepared.cleanup)
        removing.addErrback(
            lambda failure: self._log.warn(
                "cannot remove the files of job {job}: {error}",
                job=self.job.id,
                error=failure.getErrorMessage(),
            )
        )
