"""Takes pushes: stores each durably before its response, once, and passes it on to the outputs.

The results of a source become the log of one job, until nothing was pushed for `IDLE_SECONDS`. A
later push of the same source begins another job, which continues with its marks.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import attrs
from twisted.internet.defer import Deferred, DeferredList, ensureDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from goloagent.collect.journal import Journal
from goloagent.collect.marks import Marks, PartlyStored
from goloagent.collect.push import Push, Source
from goloagent.core.job_spec import AGENT, JobSpec
from goloagent.filesystem.durable import SyncFailed
from goloagent.jobs.ids import is_id
from goloagent.jobs.job import Job, State
from goloagent.runs.delivery import DeliveryQueue
from goloagent.wal.run_directory import LogPathError

IDLE_SECONDS = 60.0
MAX_LIVE = 1_000
"""Sources at the same time; each has a few open files."""
MAX_SOURCES = 100_000
"""Sources whose marks are remembered."""
MAX_WAITING_BYTES = 64 << 20
"""Of pushes that are not stored yet."""


class Busy(Exception):
    """A push cannot be taken now; the message is for the client."""


@attrs.define(eq=False)
class _Waiting:
    push: Push
    stored: Deferred[None]

    def end(self, error: Exception | None = None) -> None:
        if self.stored.called:
            return
        if error is None:
            self.stored.callback(None)
        else:
            self.stored.errback(error)


@attrs.define(eq=False)
class _Live:
    job: Job
    journal: Journal
    pushed_at: float
    is_busy: bool = False


@attrs.define(eq=False)
class Receiver:
    """Stores pushes in logs below `logs`.

    Args:
        in_thread: runs a function in a worker thread.
        has_job: whether there is a job with an id.
        add: adds a job durably.
        save: saves a job, now or later.
        failed: called with a sentence after a failed sync.
        max_log_bytes: of the log of one job; a larger one ends.
        max_live: the maximum number of jobs at the same time.
    """

    clock: IReactorTime
    now: Callable[[], datetime]
    in_thread: Callable[..., Deferred[Any]]
    logs: Path
    has_job: Callable[[str], bool]
    add: Callable[[Job], Awaitable[None]]
    save: Callable[[Job], None]
    delivery: DeliveryQueue
    failed: Callable[[str], None]
    max_log_bytes: int
    max_live: int = MAX_LIVE
    _marks: dict[Source, Marks] = attrs.field(init=False, factory=dict)
    _live: dict[Source, _Live] = attrs.field(init=False, factory=dict)
    _waiting: list[_Waiting] = attrs.field(init=False, factory=list)
    _waiting_bytes: int = attrs.field(init=False, default=0)
    _storing: Deferred[None] | None = attrs.field(init=False, default=None)
    _is_storing: bool = attrs.field(init=False, default=False)
    _is_open: bool = attrs.field(init=False, default=False)

    _log = Logger()

    def open(self, marks: dict[Source, Marks]) -> None:
        """Take pushes from now on, of sources whose earlier pushes have `marks`."""
        self._marks = marks
        self._is_open = True

    async def push(self, push: Push) -> None:
        """Return when the results of a push are durable, now or from an earlier push.

        Raises:
            Busy: it is not stored, and may be repeated.
            PartlyStored: it is not stored, and parts of it may be.
            OSError: it is not stored.
        """
        if not self._is_open:
            raise Busy("the collector is starting or stopping")
        if self._waiting_bytes + len(push.text) > MAX_WAITING_BYTES:
            raise Busy("the disk is slower than the results")
        waiting = _Waiting(push, Deferred(lambda _: None))
        self._waiting.append(waiting)
        self._waiting_bytes += len(push.text)
        if not self._is_storing:
            self._is_storing = True
            self._storing = ensureDeferred(self._store())  # it may have ended already
        await waiting.stored

    def end_idle(self) -> None:
        """End the jobs of sources that have sent nothing for `IDLE_SECONDS`."""
        before = self.clock.seconds() - IDLE_SECONDS
        for source, live in list(self._live.items()):
            if live.pushed_at <= before and not live.is_busy:
                self._end(source)

    def end_job(self, job: Job) -> bool:
        """End a job now, and return whether it is over."""
        for source, live in self._live.items():
            if live.job is job and not live.is_busy:
                self._end(source)
                break
        return job.state.over

    async def stop(self) -> None:
        """Store what waits, and end all jobs."""
        self._is_open = False
        if self._storing is not None:
            await self._storing
        for source in list(self._live):
            self._end(source)

    async def _store(self) -> None:
        """Store what waits, until nothing does; each group of pushes shares a sync of its log."""
        try:
            while self._waiting:
                group, self._waiting = self._waiting, []
                by_source: dict[Source, list[_Waiting]] = {}
                for waiting in group:
                    by_source.setdefault(waiting.push.source, []).append(waiting)
                await DeferredList(
                    [ensureDeferred(self._store_of(*item)) for item in by_source.items()]
                )
                self._waiting_bytes -= sum(len(waiting.push.text) for waiting in group)
        finally:
            self._is_storing = False

    async def _store_of(self, source: Source, group: list[_Waiting]) -> None:
        marks = self._marks.get(source, Marks()).copy()
        new = []
        for waiting in group:
            try:
                if not marks.has(waiting.push):
                    marks.add(waiting.push.key, waiting.push.end)
                    new.append(waiting.push)
            except PartlyStored as error:
                waiting.end(error)
        try:
            if new:
                live = await self._live_of(source, new[0])
                live.is_busy = True
                try:
                    await self.in_thread(live.journal.append, new)
                finally:
                    live.is_busy = False
                self._marks.pop(source, None)  # the latest is the last to be forgotten
                self._marks[source] = marks
                if len(self._marks) > MAX_SOURCES:
                    del self._marks[next(iter(self._marks))]
                self._stored(live, new)
        except Exception as error:
            if isinstance(error, SyncFailed):
                self._is_open = False
                self.failed(f"the disk did not take what was written: {error}")
            elif not isinstance(error, OSError | LogPathError | Busy):
                self._log.failure("pushes of {source} cannot be stored", source=source)
            for waiting in group:
                waiting.end(error)
        for waiting in group:
            waiting.end()

    async def _live_of(self, source: Source, push: Push) -> _Live:
        if source in self._live:
            return self._live[source]
        if len(self._live) >= self.max_live:
            raise Busy(f"{self.max_live} jobs are sending already")
        # Outputs know results by the job and their place in it. So the id is the sender's only from
        # its first result on, because outputs may have those of a state that was lost.
        is_free = is_id(source.sender) and not push.first and not self.has_job(source.sender)
        run = {"run": {"id": source.sender}} if is_id(source.sender) else {}
        spec = JobSpec(source.name, 0, 0, "", {**run, AGENT: push.peer})
        now = self.now()
        job = Job(
            id=source.sender if is_free else str(uuid4()),
            spec=spec.with_trace(push.traceparent),
            queued_at=now,
            state=State.RUNNING,
            started_at=now,
            has_log=True,
        )
        self.delivery.assign(job)
        journal = await self.in_thread(Journal.create, self.logs, source.name, job.id)
        try:
            await self.add(job)
        except BaseException:
            journal.close()
            raise
        job.log_version = journal.log.version
        self._live[source] = _Live(job, journal, self.clock.seconds())
        self.delivery.begin(job)
        self._log.info(
            "job {job}: results of {name} from {peer}", job=job.id, name=source.name, peer=push.peer
        )
        return self._live[source]

    def _stored(self, live: _Live, pushes: list[Push]) -> None:
        job, log = live.job, live.journal.log
        live.pushed_at = self.clock.seconds()
        job.lines.read += sum(push.results for push in pushes)
        job.verified_range = range(log.intact_from, log.size)
        job.log_version = log.version
        self.delivery.on_appended(job)
        if log.size >= self.max_log_bytes:
            self._end(pushes[0].source)

    def _end(self, source: Source) -> None:
        live = self._live.pop(source)
        live.journal.close()
        live.job.state, live.job.ended_at = State.FINISHED, self.now()
        self.save(live.job)
        self.delivery.end(live.job)
