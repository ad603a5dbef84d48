"""A job: its specification, its state, and the counts of its calls and results. Pure.

A job that is not fully delivered is one mutable object, shared by its run, its output and the
database. Each part has one writer: the run writes the state, the calls and the lines, the output
writes the checkpoint.
"""

from __future__ import annotations

from datetime import datetime
from enum import Enum

import attrs

from goloagent.jobs.spec import JobSpec


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
    """RPC calls made to the load test."""

    started: int = 0
    ok: int = 0
    failed: int = 0

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
    """Results that the output has finished with. Written by the output.

    Args:
        abandoned: results given up by an operator, or whose lines are gone from out.log.
        committed: the offset in out.log up to which every result is in one of the counts.
    """

    delivered: int = 0
    rejected: int = 0
    abandoned: int = 0
    committed: int = 0


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
    has_log: bool = False
    verified_range: range = range(0)
    log_version: tuple[int, int, int] | None = None
    calls: CallCounts = attrs.Factory(CallCounts)
    lines: LineCounts = attrs.Factory(LineCounts)
    checkpoint: Checkpoint = attrs.Factory(Checkpoint)

    @property
    def results(self) -> ResultCounts:
        """The counts of its results now."""
        lines, done = self.lines, self.checkpoint
        return ResultCounts(
            lines.read,
            lines.invalid,
            done.delivered,
            done.rejected,
            done.abandoned,
            done.committed,
        )

    def restore_results(self, counts: ResultCounts) -> None:
        """Replace the counts, before a run or an output writes them."""
        self.lines = LineCounts(counts.read, counts.invalid)
        self.checkpoint = Checkpoint(
            counts.delivered, counts.rejected, counts.abandoned, counts.committed
        )

    @property
    def fully_delivered(self) -> bool:
        """Whether it is over and no result is pending, so that nothing about it changes."""
        return self.state.over and self.results.pending == 0
