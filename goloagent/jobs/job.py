"""One job: what was asked, where it stands, and the account of its calls and results.

A job that is not over, or whose results are not all delivered, is one live object that its run and
its delivery update in place; the store keeps it. Everything here is plain data.
"""

from __future__ import annotations

from datetime import datetime
from enum import Enum

import attrs

from goloagent.jobs.spec import JobSpec


class State(str, Enum):
    """Where a job stands, as the API says it."""

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
        """Whether nothing more will run."""
        return self in _OVER


_OVER = frozenset({State.FINISHED, State.FAILED, State.CANCELLED, State.INTERRUPTED})


@attrs.frozen
class FailureReason:
    """Why a job did not finish: a code for programs and a sentence for people.

    With `requeue` it is no fault of the job's, which had not begun: it goes back to the queue.
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
        """Calls that have not returned. After the end: calls that never did."""
        return self.started - self.ok - self.failed


@attrs.define
class ResultCounts:
    """The account of a run's lines: what is valid and what is pending follow from the counted rest.

    ``abandoned`` results were given up: by a person, or because their lines are gone from out.log.
    ``committed`` is the offset in out.log up to which every valid line is accounted for. Whoever
    counts the log writes ``read`` and ``invalid``, and the delivery worker everything else.
    """

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
        """Results that wait for the collector."""
        return self.valid - self.delivered - self.rejected - self.abandoned


@attrs.frozen
class InvalidLine:
    """The first line of stdout that is no result: its number from 1, why, and how it begins."""

    number: int
    reason: str
    text: str


@attrs.define
class Job:
    """A job from its queueing on.

    ``stderr_tail`` is how its stderr ended, known when it is over; ``logged`` says that its run has
    a log that can hold results. ``flawless`` is a stretch of that log all of whose lines are known
    to be results, up to where its lines are counted, and ``log_version`` the device, inode and time
    of change of the file as it was counted; neither is kept. ``warnings`` are sentences on what is
    probably wrong with the load test though the run went its way, known when it is over.
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
    flawless: range = range(0)
    log_version: tuple[int, int, int] | None = None
    calls: CallCounts = attrs.Factory(CallCounts)
    results: ResultCounts = attrs.Factory(ResultCounts)

    @property
    def fully_delivered(self) -> bool:
        """Whether nothing about it will change any more: it is over and nothing is pending."""
        return self.state.over and self.results.pending == 0
