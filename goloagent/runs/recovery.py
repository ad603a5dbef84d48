"""Recovers the jobs of the previous process: interrupted runs and undelivered results.

A job that was running is over, and is never run again automatically. Its results are counted again
from its log, because a power cut can remove the end of a log that was already counted or delivered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any

import attrs
from twisted.internet.defer import CancelledError, Deferred, DeferredList, ensureDeferred
from twisted.logger import Logger

from goloagent.core.stats.run_stats import RunStatistics
from goloagent.core.stats.summary import Summary
from goloagent.jobs.database import Store
from goloagent.jobs.job import InvalidLine, Job, ResultCounts, State
from goloagent.results.line_counter import LineCounter
from goloagent.runs import messages, outcome
from goloagent.runs.delivery import DeliveryQueue
from goloagent.wal.run_directory import LogPathError
from goloagent.wal.run_log import RunLogReader

_BLOCK_BYTES = 1024 * 1024
_NO_END = 2**63
_CONCURRENT_JOBS = 8
# Runs that ended this long before the last one are on the disk, however slow it is.
_SYNCED_SECONDS = 60.0


@attrs.frozen
class Recovery:
    """Recovers the jobs in `store`.

    Args:
        save: saves a job, now or later.
        in_thread: runs a function in a worker thread; the last three arguments run there.
        notice: reports a sentence to the operator.
        keep_statistics: stores the statistics of an interrupted job.
        read_stderr: returns the end of a job's stderr.
        read_manifest: returns the counts stored next to a fully delivered log, or None.
    """

    store: Store
    open_log: Callable[[Job], RunLogReader]
    delivery: DeliveryQueue
    save: Callable[[Job], None]
    now: Callable[[], datetime]
    in_thread: Callable[..., Deferred[Any]]
    notice: Callable[[str], None]
    keep_statistics: Callable[[Job, Summary], None]
    read_stderr: Callable[[Job], str]
    read_manifest: Callable[[Job], ResultCounts | None] = lambda job: None

    _log = Logger()

    async def recover(self) -> None:
        """End the jobs that were running, and deliver pending results."""
        await self._sync_last()
        await self.recover_jobs(
            [job for job in self.store.unsettled() if job.state is not State.QUEUED], self.save
        )

    async def _sync_last(self) -> None:
        """Sync the logs of the last settled runs, which recovery does not read otherwise."""
        try:
            runs = self.store.settled_runs()
        except OSError as error:
            self.notice(f"some logs may not be durable: {error}")
            return
        for run in reversed(runs):
            if (runs[-1].ended_at - run.ended_at).total_seconds() > _SYNCED_SECONDS:
                return
            try:
                job = self.store.get(run.job_id)
                if job is None:
                    continue
                log = self.open_log(job)
                try:
                    await self.in_thread(log.sync)
                finally:
                    log.close()
            except FileNotFoundError:
                continue  # the log was removed, and nothing of it is needed
            except (OSError, LogPathError) as error:
                self.notice(f"the log of job {run.job_id} may not be durable: {error}")

    async def import_runs(self, jobs: Sequence[Job]) -> None:
        """Recover jobs of which only the log was left, and add them to the database."""

        def add(job: Job) -> None:
            self.store.add(job)
            self.save(job)  # a settled job is live no longer

        await self.recover_jobs(jobs, add)

    async def recover_jobs(self, jobs: Sequence[Job], save: Callable[[Job], None]) -> None:
        """Recover `jobs`, a few concurrently, because one log does not use the whole disk."""
        for first in range(0, len(jobs), _CONCURRENT_JOBS):
            some = [
                ensureDeferred(self._recover_job(job, save))
                for job in jobs[first : first + _CONCURRENT_JOBS]
            ]
            outcomes: list[tuple[bool, Any]] = await DeferredList(some, consumeErrors=True)
            for recovered, failure in outcomes:
                if not recovered:
                    failure.raiseException()

    async def _recover_job(self, job: Job, save: Callable[[Job], None]) -> None:
        try:
            readable = await self._recount(job)
            await self._read_stderr(job)
            was_running = not job.state.over
            if was_running:
                job.state, job.cause, job.ended_at = (
                    State.INTERRUPTED,
                    outcome.AGENT_RESTART,
                    self.now(),
                )
            save(job)
            if was_running or job.results.pending:
                self._log.info("{sentence}", sentence=messages.recovered(job))
            if readable and job.results.pending:
                self.delivery.begin(job)
                self.delivery.end(job)
        except CancelledError:
            raise  # the agent stops; the next start recovers the job
        except Exception as error:
            self._log.failure("job {id} cannot be recovered", id=job.id)
            self.notice(f"job {job.id} cannot be recovered: {error}")

    async def _recount(self, job: Job) -> bool:
        """Count the results of a job in its log; return whether the log is readable."""
        if not job.has_log:
            return False
        manifest: ResultCounts | None = await self.in_thread(self.read_manifest, job)
        if manifest is not None and manifest.committed > job.results.committed:
            job.restore_results(manifest)  # the database is an old copy
        results = job.results
        # Those of a job that is over are stored already.
        statistics = None if job.state.over else RunStatistics()
        observe = None if statistics is None else statistics.add
        done = LineCounter(observe=observe)
        pending = LineCounter(observe=observe, start=results.committed)
        try:
            log = self.open_log(job)
        except (OSError, LogPathError) as error:
            # The disk may not be mounted, so the next start tries again.
            self.notice(
                f"the log of job {job.id} cannot be read: {error}; {results.pending} results stay"
                " pending until the agent starts with the log"
            )
            return False
        try:
            version = log.version()
            counting = _count(log, results.committed, done, pending)
            while await self.in_thread(next, counting, False):
                pass
        finally:
            log.close()
        if statistics is not None:
            await self._keep_statistics(job, statistics)
        lost = results.pending - pending.valid
        if lost > 0:
            self.notice(
                f"the log of job {job.id} has {lost} results fewer than were counted; they are lost"
            )
        finished = results.delivered + results.rejected + results.abandoned
        # A line that was delivered counts as a result, even if it is none now: the log was damaged,
        # or an older version of the agent had another rule.
        job.lines.invalid = min(done.invalid, results.invalid) + pending.invalid
        job.lines.read = finished + job.lines.invalid + pending.valid
        job.verified_range = pending.verified_range
        job.log_version = version
        if job.invalid_line is None:
            job.invalid_line = _first_invalid(done, pending)
        return True

    async def _read_stderr(self, job: Job) -> None:
        if job.has_log and not job.stderr_tail:
            try:
                job.stderr_tail = await self.in_thread(self.read_stderr, job)
            except (OSError, LogPathError) as error:
                self._log.warn(
                    "cannot read the stderr of job {id}: {error}", id=job.id, error=error
                )

    async def _keep_statistics(self, job: Job, statistics: RunStatistics) -> None:
        """Store the statistics; without them they are computed again from the log."""
        try:
            await self.in_thread(lambda: self.keep_statistics(job, statistics.summary()))
        except CancelledError:
            raise
        except Exception as error:
            self._log.warn(
                "cannot store the statistics of job {id}: {error}", id=job.id, error=error
            )


def _first_invalid(done: LineCounter, pending: LineCounter) -> InvalidLine | None:
    """Return the first invalid line of a log that two counters have counted in order."""
    for counter, lines in ((done, 0), (pending, done.read)):
        if (line := counter.first_invalid) is not None:
            return InvalidLine(lines + line.number, line.reason, line.text)
    return None


def _count(
    log: RunLogReader, committed: int, done: LineCounter, pending: LineCounter
) -> Iterator[bool]:
    """Feed the log to the counters, up to `committed` and from there on.

    Blocks: it runs in a worker thread, and yields after each block so that other work gets a turn.
    """
    # Data written just before a kill may not be on the disk yet.
    log.sync()
    for counter, start, end in ((done, 0, committed), (pending, committed, _NO_END)):
        offset = start
        while block := log.read(offset, min(_BLOCK_BYTES, end - offset)):
            counter.feed(block)
            offset += len(block)
            if len(block) == _BLOCK_BYTES:
                yield True
        counter.close()
