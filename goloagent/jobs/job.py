"""A job: its specification, its state, and the counts of its calls and results. Pure.

A job that is not fully delivered is one mutable object, shared by its run, its output and the
database. Each part has one writer: the run writes the state, the calls and the lines, the output
writes the checkpoint.
"""

from __future__ import annotations

from datetime import datetime
from enum import Enum

import attrs

from goloagent.core.job_spec import JobSpec
from goloagent.core.output_schemes import COLLECTOR, RESULT, SECOND
from goloagent.core.spans import Span
from goloagent.core.stats.cpu_usage import RunCpu
from goloagent.core.stats.summary import ErrorSummary
from goloagent.core.verdict import Verdict

TOP_ERRORS = 10
"""The errors of a job beside its counts; its statistics have more."""


class State(str, Enum):
    """The state of a job, as in the API."""

    QUEUED = "queued"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"

    @property
    def over(self) -> bool:
        """Whether it is final."""
        return self in _OVER


_OVER = frozenset({State.FINISHED, State.FAILED, State.CANCELLED, State.INTERRUPTED})


@attrs.frozen
class FailureReason:
    """Why a job did not finish: a code for programs and a sentence for people.

    Args:
        requeue: the host is at fault, before the job has begun: it is queued again.
    """

    reason: str
    message: str
    requeue: bool = attrs.field(default=False, kw_only=True)


@attrs.frozen
class Exit:
    """How the load test's process ended: by an exit code or by a signal's name (``SIGKILL``)."""

    code: int | None = None
    signal: str | None = None


@attrs.define
class CallCounts:
    """RPC calls made to the load test; `dropped` ones were due and not made."""

    started: int = 0
    ok: int = 0
    failed: int = 0
    dropped: int = 0

    @property
    def scheduled(self) -> int:
        """Calls that were due so far."""
        return self.started + self.dropped

    @property
    def in_flight(self) -> int:
        """Calls that have not returned, at the end those that never did."""
        return self.started - self.ok - self.failed


@attrs.define
class LineCounts:
    """Lines of stdout. Written by the run, and by recovery before an output begins."""

    read: int = 0
    invalid: int = 0


@attrs.define
class Checkpoint:
    """Results that an output has finished with. Written by the output.

    Args:
        abandoned: results given up by an operator, or whose lines are gone from out.log.
        committed: the offset in out.log up to which every result is in one of the counts; with
            windows as units, the time in the timeline, in milliseconds from the start of the load.
        required: the log stays until the output has all results.
        finished: all windows of the timeline were sent.
    """

    delivered: int = 0
    rejected: int = 0
    abandoned: int = 0
    committed: int = 0
    unit: str = RESULT
    required: bool = True
    finished: bool = False

    @property
    def done(self) -> int:
        """The number of results that the output has finished with."""
        return self.delivered + self.rejected + self.abandoned

    @property
    def is_used(self) -> bool:
        """Whether results are for the output, and were not all abandoned as they came."""
        return bool(self.delivered or self.rejected or not self.abandoned)


@attrs.frozen
class ResultCounts:
    """The counts of a job's results, assembled from `LineCounts` and `Checkpoint`."""

    read: int = 0
    invalid: int = 0
    delivered: int = 0
    rejected: int = 0
    abandoned: int = 0
    committed: int = 0

    @property
    def valid(self) -> int:
        """Lines that are results."""
        return self.read - self.invalid

    @property
    def pending(self) -> int:
        """Results that are not delivered yet."""
        return self.valid - self.delivered - self.rejected - self.abandoned


@attrs.frozen
class InvalidLine:
    """The first invalid line of stdout: its number from 1, the reason, and its beginning."""

    number: int
    reason: str
    text: str


@attrs.define
class Job:
    """A job from the time when it is queued.

    Args:
        stderr_tail: the end of its stderr, set when it is over.
        warnings: sentences about probable defects of the load test, set when it is over.
        limited: when the load generator was the limit, and why.
        cpu: the usage during the load up to now; None if it was not measured.
        errors: the `TOP_ERRORS` most frequent ones of its results and calls.
        verdict: whether it passes; provisional while it runs, None before there is one.
        outputs: the checkpoints of the other outputs by name, set when the run starts.
        has_log: whether there is a log that can contain results.
        verified_range: the bytes of that log in which every line is a result, up to the last line
            that is counted. Not saved.
        log_version: the device, inode and change time of the file as it was counted. Not saved.
    """

    id: str
    spec: JobSpec
    queued_at: datetime
    state: State = State.QUEUED
    cause: FailureReason | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    exit: Exit | None = None
    stderr_tail: str = ""
    invalid_line: InvalidLine | None = None
    warnings: tuple[str, ...] = ()
    limited: tuple[Span, ...] = ()
    cpu: RunCpu | None = None
    errors: tuple[ErrorSummary, ...] = ()
    verdict: Verdict | None = None
    has_log: bool = False
    verified_range: range = range(0)
    log_version: tuple[int, int, int] | None = None
    calls: CallCounts = attrs.Factory(CallCounts)
    lines: LineCounts = attrs.Factory(LineCounts)
    checkpoint: Checkpoint = attrs.Factory(Checkpoint)
    outputs: dict[str, Checkpoint] = attrs.Factory(dict)

    @property
    def results(self) -> ResultCounts:
        """The counts of its results now, with those of the collector."""
        return self.account(COLLECTOR)

    @property
    def checkpoints(self) -> dict[str, Checkpoint]:
        """Those of all its outputs by name, the collector's first."""
        return {COLLECTOR: self.checkpoint, **self.outputs}

    def checkpoint_of(self, output: str) -> Checkpoint:
        """Return that of an output.

        Raises:
            KeyError: the job has no such output.
        """
        return self.checkpoint if output == COLLECTOR else self.outputs[output]

    def account(self, output: str) -> ResultCounts:
        """Return the counts of its results now, with those of an output."""
        lines, done = self.lines, self.checkpoint_of(output)
        return ResultCounts(
            lines.read,
            lines.invalid,
            done.delivered,
            done.rejected,
            done.abandoned,
            done.committed,
        )

    def restore_results(
        self, counts: ResultCounts, outputs: dict[str, Checkpoint] | None = None
    ) -> None:
        """Replace the counts, before a run or an output writes them."""
        self.lines = LineCounts(counts.read, counts.invalid)
        self.checkpoint = Checkpoint(
            counts.delivered, counts.rejected, counts.abandoned, counts.committed
        )
        self.outputs = {} if outputs is None else outputs

    def has_pending(self, output: str) -> bool:
        """Whether an output has something to send, or will have while the job is not over."""
        checkpoint = self.checkpoint_of(output)
        is_unfinished = checkpoint.unit == SECOND and not checkpoint.finished
        return is_unfinished or self.account(output).pending > 0

    @property
    def fully_delivered(self) -> bool:
        """Whether it is over and nothing is pending, so that nothing about it changes."""
        return self.state.over and not any(map(self.has_pending, self.checkpoints))

    @property
    def needs_log(self) -> bool:
        """Whether a required output has something to send."""
        return any(
            one.required and self.has_pending(name) for name, one in self.checkpoints.items()
        )
