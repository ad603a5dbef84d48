"""A worker with a collector, logs and a clock in memory."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta, timezone

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from goloagent.core.job_spec import JobSpec
from goloagent.jobs.job import Job, State
from goloagent.outputs.batch import Batch
from goloagent.outputs.results_feed import ResultsFeed
from goloagent.outputs.sink import BatchLimits, Response
from goloagent.outputs.status import DeliveryStatus
from goloagent.outputs.worker import OutputWorker
from goloagent.results.line_counter import LineCounter
from goloagent.results.parser import MAX_BODY_BYTES

START = datetime(2026, 1, 2, tzinfo=timezone.utc)
OK = Response(status=200)
CHATTER = b"x" * 99 + b"\n"
AWAY = Response(error="no answer: refused")


def result(number: int, length: int = 0) -> bytes:
    """Return the line of one result."""
    start = b'{"timestamp":"2026-01-02T03:04:05Z","sequenceID":"%d","url":"' % number
    return start + b"x" * (length - len(start) - 3) + b'"}\n'


def results(count: int, first: int = 0) -> bytes:
    """Return the lines of a number of results."""
    return b"".join(result(number) for number in range(first, first + count))


def running_job(name: str, number: int) -> Job:
    """Return a job that runs, and whose log is as it was counted."""
    job = Job(f"job-{number}", JobSpec(name, 1, 1, "b"), START, State.RUNNING)
    job.log_version = (0, 1, 0)
    return job


@attrs.define(eq=False)
class MemoryLog:
    """A run's log in memory, which counts lines as a run does, and may fail."""

    job: Job
    content: bytearray = attrs.Factory(bytearray)
    rejected: list[tuple[Batch, Response]] = attrs.Factory(list)
    open: int = 0
    error: Exception | None = None
    reject_error: Exception | None = None
    lines: LineCounter = attrs.Factory(LineCounter)
    inode: int = 1

    def size(self) -> int:
        return len(self.content)

    def version(self) -> tuple[int, int, int]:
        return 0, self.inode, 0

    def read(self, offset: int, count: int) -> bytes:
        if self.error is not None:
            raise self.error
        return bytes(self.content[offset : offset + count])

    def reject(self, batch: Batch, answer: Response) -> None:
        if self.reject_error is not None:
            raise self.reject_error
        self.rejected.append((batch, answer))

    def close(self) -> None:
        self.open -= 1

    def count(self) -> None:
        """Update the job's counts."""
        self.job.lines.read, self.job.lines.invalid = self.lines.read, self.lines.invalid
        self.job.verified_range = self.lines.verified_range


@attrs.define
class Push:
    """One push as it arrived."""

    seconds: float
    name: str
    key: str
    body: bytes

    @property
    def ids(self) -> list[int]:
        return [int(one["sequenceID"]) for one in json.loads(self.body)]


class World:
    """A worker, its clock, a collector that responds with `answer`, and logs in memory."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.pushes: list[Push] = []
        self.logs: dict[str, MemoryLog] = {}
        self.most_open = 0
        self.saved: list[tuple[str, int, int, int]] = []
        self.save_error: Exception | None = None
        self.waiting: Deferred[Response] | None = None
        self.cancelled: list[str] = []
        # None leaves the push waiting, until the test responds.
        self.answer: Callable[[Push], Response | None] = lambda push: OK
        self.faults: list[str | None] = []
        self.notices: list[str] = []
        self.worker = OutputWorker(
            self.clock,
            self.now,
            self.push,
            lambda account: ResultsFeed(account, self.open_log, BatchLimits()),
            self.save,
            self.faults.append,
            self.notices.append,
        )
        self.worker.start()

    def now(self) -> datetime:
        return START + timedelta(seconds=self.clock.seconds())

    async def push(self, job: Job, batch: Batch, ordinal: int) -> Response:
        name, key, body = job.spec.name, f"{job.id}/{batch.key}", batch.body()
        assert ordinal == job.checkpoint.done
        assert self.waiting is None, "two pushes at once"
        assert len(body) <= MAX_BODY_BYTES
        push = Push(self.clock.seconds(), name, key, body)
        self.pushes.append(push)
        answer = self.answer(push)
        if answer is not None:
            return answer
        self.waiting = Deferred(lambda _: self.cancelled.append(key))
        try:
            return await self.waiting
        finally:
            self.waiting = None

    def open_log(self, job: Job) -> MemoryLog:
        log = self.logs[job.id]
        log.open += 1
        self.most_open = max(self.most_open, sum(log.open for log in self.logs.values()))
        return log

    def save(self, job: Job) -> None:
        if self.save_error is not None:
            raise self.save_error
        counts = job.results
        assert counts.pending >= 0
        self.saved.append((job.id, counts.committed, counts.delivered, counts.rejected))

    # Calls of a run.

    def begin(self, name: str = "shop", number: int = 1) -> Job:
        job = running_job(name, number)
        self.logs[job.id] = MemoryLog(job)
        self.worker.begin(job)
        return job

    def grow(self, job: Job, data: bytes) -> None:
        log = self.logs[job.id]
        log.content += data
        log.lines.feed(data)
        log.count()
        self.worker.on_appended(job)

    def end(self, job: Job, data: bytes = b"") -> None:
        if data:
            self.grow(job, data)
        log = self.logs[job.id]
        log.lines.close()
        log.count()
        job.state = State.FINISHED
        self.worker.end(job)

    # Queries of a test.

    @property
    def sizes(self) -> list[int]:
        return [len(push.ids) for push in self.pushes]

    def ids(self, name: str = "shop") -> list[int]:
        return [number for push in self.pushes if push.name == name for number in push.ids]

    def status(self, job: Job) -> DeliveryStatus:
        return self.worker.status(job)

    def run_due(self) -> None:
        """Run everything that is due now."""
        for _ in range(100):
            self.clock.advance(0)

    def stop(self, seconds: float = 5.0) -> list[object]:
        stopped: list[object] = []
        self.worker.stop(seconds).addBoth(stopped.append)
        return stopped

    def assert_at_rest(self) -> None:
        """Assert that nothing runs, waits or is open."""
        assert self.clock.getDelayedCalls() == []
        assert self.waiting is None
        assert [log.open for log in self.logs.values()] == [0] * len(self.logs)


def refuse(*numbers: int) -> Callable[[Push], Response]:
    """Return a collector that refuses batches with any of these results."""
    return lambda push: Response(422, text="no") if set(numbers) & set(push.ids) else OK
