"""Records a run's output: writes it to the log, counts its lines and notifies the delivery.

Output is written at once. Lines are counted in turns, between which the reactor handles other
events; if that takes more than one turn, the process is not read meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import maybeDeferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from goloagent.concurrency.cooperation import take_turn
from goloagent.core.host_fault import DISK_FULL
from goloagent.filesystem.disk_space import is_full
from goloagent.jobs.job import TOP_ERRORS, FailureReason, InvalidLine, Job
from goloagent.runs import outcome
from goloagent.runs.delivery import RunDelivery
from goloagent.runs.dependencies import RunDependencies
from goloagent.runs.preparation import PreparedRun
from goloagent.sandbox.process import LoadTestProcess
from goloagent.wal.result_writer import ResultWriter

# The maximum number of bytes written between two checks of the disk space.
CHECK_BYTES = 1024 * 1024
# A shortage of disk space must last this long to end a run.
_SHORTAGE_SECONDS = 2.0


class OutputRecorder:
    """Records the output of `job` in the log of `prepared`.

    Args:
        fail: ends the run.
        counted: called after output was counted.
    """

    _log = Logger()

    def __init__(
        self,
        job: Job,
        prepared: PreparedRun,
        deps: RunDependencies,
        fail: Callable[[FailureReason], None],
        counted: Callable[[], None],
    ) -> None:
        self._job = job
        self.prepared = prepared
        self._deps = deps
        self._fail = fail
        self._counted = counted
        self.delivery = RunDelivery(job, deps.delivery)
        self.process: LoadTestProcess | None = None
        self._next_turn: IDelayedCall | None = None
        self._unchecked_bytes = 0
        self._short_since: float | None = None
        self._ending = False
        self._ended = False

    def stdout(self, data: bytes) -> None:
        """Write and count what the load test printed."""
        self._write(ResultWriter.stdout, data)
        if self._next_turn is None and not self._ended:
            self._count_in_turns()

    def stderr(self, data: bytes) -> None:
        """Write what the load test printed on stderr."""
        self._write(ResultWriter.stderr, data)

    def check_space(self) -> None:
        """End the run while the disk still has room for its end.

        A short shortage does not end it, unless it is urgent.
        """
        self._unchecked_bytes = 0
        try:
            excess = self._deps.check_space(self.prepared.writer.written_bytes)
        except Exception:
            self._log.failure("the disk space for job {job} cannot be checked", job=self._job.id)
            return
        if excess is None:
            self._short_since = None
            return
        seconds = self._deps.clock.seconds()
        if self._short_since is None:
            self._short_since = seconds
        if excess.urgent or seconds - self._short_since >= _SHORTAGE_SECONDS:
            self._fail(FailureReason(DISK_FULL, excess.sentence))

    def end(self, ended: Callable[[], None]) -> None:
        """Release the process, count the rest of the output, then call `ended`."""
        self._ending = True
        if self._next_turn is not None:
            self._next_turn.cancel()
            self._next_turn = None
        if self.process is not None:
            for step in (self.process.read_rest, self.process.abandon_output):
                try:
                    step()
                except Exception:
                    self._log.failure("the output of job {job} is incomplete", job=self._job.id)
        self._ended = True
        self.prepared.writer.end()
        self._count_rest(ended)

    def read_stderr(self) -> None:
        """Set the end of stderr in the job."""
        try:
            self._job.stderr_tail = self.prepared.log.stderr_tail()
        except OSError as error:
            self._log.warn(
                "cannot read the stderr of job {job}: {error}", job=self._job.id, error=error
            )

    def close(self) -> None:
        """Close the log."""
        writer = self.prepared.writer
        try:
            writer.close()
        finally:
            self._set_counts()
        if writer.lost_bytes:
            self._log.warn(
                "job {job}: {count} bytes of stdout could not be written and are lost",
                job=self._job.id,
                count=writer.lost_bytes,
            )

    def store_statistics(self) -> None:
        """Store the final statistics; without them they are computed again from the log."""
        statistics = self.prepared.statistics
        statistics.flush()
        self._job.errors = tuple(statistics.top_errors(TOP_ERRORS))
        storing = maybeDeferred(self._deps.keep_statistics, self._job, statistics)
        storing.addErrback(
            lambda failure: self._log.warn(
                "cannot store the statistics of job {job}: {error}",
                job=self._job.id,
                error=failure.getErrorMessage(),
            )
        )

    def _write(self, stream: Callable[[ResultWriter, bytes], None], data: bytes) -> None:
        if self._ended:
            return
        try:
            stream(self.prepared.writer, data)
        except OSError as error:
            reason = DISK_FULL if is_full(error) else "log-failed"
            self._fail(FailureReason(reason, f"The log cannot be written: {error}."))
        except Exception as error:
            self._log.failure("recording the output of job {job} failed", job=self._job.id)
            self._fail(outcome.defect("The output cannot be recorded", error))
        self._unchecked_bytes += len(data)
        if self._unchecked_bytes >= CHECK_BYTES:
            self.check_space()

    def _count_in_turns(self) -> None:
        waited = self._next_turn is not None
        self._next_turn = None
        all_counted = self._take_turn()
        if self._ending:
            return
        self.delivery.on_appended()
        self._counted()
        if not all_counted:
            self._next_turn = self._deps.clock.callLater(0.0, self._count_in_turns)
        if self.process is not None and not all_counted:
            self.process.pause_stdout()
        elif self.process is not None and waited:
            self.process.resume_stdout()

    def _count_rest(self, ended: Callable[[], None]) -> None:
        if self._take_turn():
            ended()
        else:
            self._deps.clock.callLater(0.0, self._count_rest, ended)

    def _take_turn(self) -> bool:
        """Count for one turn; return whether everything is counted."""
        try:
            return take_turn(self._deps.clock, self.prepared.writer.count())
        except Exception as error:
            self._log.failure("counting the results of job {job} failed", job=self._job.id)
            self._fail(outcome.defect("The results cannot be counted", error))
            return False
        finally:
            self._set_counts()

    def _set_counts(self) -> None:
        job, counter, log = self._job, self.prepared.writer.line_counter, self.prepared.log
        job.lines.read, job.lines.invalid = counter.read, counter.invalid
        verified = counter.verified_range
        job.verified_range = range(max(verified.start, log.intact_from), verified.stop)
        job.log_version = log.version
        if job.invalid_line is None and (line := counter.first_invalid) is not None:
            job.invalid_line = InvalidLine(line.number, line.reason, line.text)
