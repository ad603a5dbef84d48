"""What is left of the agent's earlier life: jobs that were running, results not delivered.

A job that was running is over, and is never run again by itself. What is pending is what the log
holds behind the committed offset, whatever was counted before: a power cut can take the end of a
log whose results were counted, or even delivered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any

import attrs
from twisted.internet.defer import CancelledError, Deferred, DeferredList, ensureDeferred
from twisted.logger import Logger

from goloagent.core.stats.run_stats import RunStatistics
from goloagent.core.stats.summary import Summary
from goloagent.jobs.database import Store
from goloagent.jobs.job import InvalidLine, Job, State
from goloagent.jobs.job import ResultCounts as Counted
from goloagent.results.line_counter import LineCounter
from goloagent.runs import messages, outcome
from goloagent.runs.delivery import DeliveryQueue
from goloagent.wal.run_directory import LogPathError
from goloagent.wal.run_log import RunLogReader

_BLOCK_BYTES = 1024 * 1024
_ENDLESS = 2**63
_AT_A_TIME = 8
# However slow a disk is, what ended so long before the last run is synced.
_SYNCED_SECONDS = 60.0


@attrs.frozen
class Recovery:
    """Takes up what an earlier life left.

    Args:
        results: where pending results go.
        save: keeps a job, now or later.
        in_thread: runs a function off the reactor thread: logs are counted there.
        notice: told what an operator should know.
        keep_statistics: keeps what an interrupted job's results came to. Takes its time.
        read_stderr: returns how the stderr of a job ended. Runs off the reactor thread.
        account: returns the account that is kept beside a log once all of it is delivered, or None.
    """

    store: Store
    open_log: Callable[[Job], RunLogReader]
    results: DeliveryQueue
    save: Callable[[Job], None]
    now: Callable[[], datetime]
    in_thread: Callable[..., Deferred[Any]]
    notice: Callable[[str], None]
    keep_statistics: Callable[[Job, Summary], None]
    read_stderr: Callable[[Job], str]
    account: Callable[[Job], Counted | None] = lambda job: None

    _log = Logger()

    async def recover(self) -> None:
        """Settle what was running and hand logs with pending results on; leave the queue."""
        await self._sync_last()
        left = [job for job in self.store.unsettled() if job.state is not State.QUEUED]
        await self._take_up_all(left, self.save)

    async def _sync_last(self) -> None:
        """Have the disk take the settled runs that ended just before a kill: nobody reads them."""
        try:
            runs = self.store.settled_runs()
        except OSError as error:
            self.notice(f"some logs may not last a power cut: {error}")
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
                continue  # somebody has removed the log, of which nothing is needed
            except (OSError, LogPathError) as error:
                self.notice(f"the log of job {run.job_id} may not last a power cut: {error}")

    async def import_runs(self, runs: Iterable[Job]) -> None:
        """Take up runs that were found without a row, and keep them."""

        def keep(job: Job) -> None:
            self.store.add(job)
            self.save(job)  # which lets go of a settled one

        await self._take_up_all(list(runs), keep)

    async def take_up(self, jobs: Iterable[Job]) -> None:
        """Take up jobs of the database that were found to have run."""
        await self._take_up_all(list(jobs), self.save)

    async def _take_up_all(self, jobs: list[Job], keep: Callable[[Job], None]) -> None:
        """Take up a few at a time: a disk has much time for one log, and little more for some."""
        for first in range(0, len(jobs), _AT_A_TIME):
            some = [
                ensureDeferred(self._recover_job(job, keep)) for job in jobs[first:][:_AT_A_TIME]
            ]
            ends: list[tuple[bool, Any]] = await DeferredList(some, consumeErrors=True)
            for taken_up, failure in ends:
                if not taken_up:
                    failure.raiseException()

    async def _recover_job(self, job: Job, keep: Callable[[Job], None]) -> None:
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
            keep(job)
            if was_running or job.results.pending:
                self._log.info("{sentence}", sentence=messages.recovered(job))
            if readable and job.results.pending:
                self.results.begin(job)
                self.results.end(job)
        except CancelledError:
            raise  # the agent stops: its next life takes it up
        except Exception as error:
            self._log.failure("job {id} cannot be taken up", id=job.id)
            self.notice(f"job {job.id} cannot be taken up: {error}")

    async def _recount(self, job: Job) -> bool:
        """Make the job's account what its log says; tell whether there is a log to be read."""
        if not job.has_log:
            return False
        kept: Counted | None = await self.in_thread(self.account, job)
        if kept is not None and kept.committed > job.results.committed:
            job.restore_results(kept)  # the database is an old copy
        results = job.results
        # Of a job that is over they were kept at its end.
        statistics = None if job.state.over else RunStatistics()
        observe = None if statistics is None else statistics.add
        before = LineCounter(observe=observe)
        behind = LineCounter(observe=observe, start=results.committed)
        try:
            log = self.open_log(job)
        except (OSError, LogPathError) as error:
            # It may be a disk that is not mounted: the next start looks again.
            self.notice(
                f"the log of job {job.id} cannot be read, and {results.pending} results stay"
                f" pending until a start that finds it: {error}"
            )
            return False
        try:
            version = log.version()
            counting = _count(log, results.committed, before, behind)
            while await self.in_thread(next, counting, False):
                pass
        finally:
            log.close()
        if statistics is not None:
            await self._keep(job, statistics)
        lost = results.pending - behind.valid
        if lost > 0:
            self.notice(f"the log of job {job.id} is damaged: {lost} results in it are lost")
        settled = results.delivered + results.rejected + results.abandoned
        job.lines.invalid = before.invalid + behind.invalid
        job.lines.read = settled + job.lines.invalid + behind.valid
        job.verified_range = behind.verified_range
        job.log_version = version
        if job.invalid_line is None:
            job.invalid_line = _first_invalid(before, behind)
        return True

    async def _read_stderr(self, job: Job) -> None:
        if job.has_log and not job.stderr_tail:
            try:
                job.stderr_tail = await self.in_thread(self.read_stderr, job)
            except (OSError, LogPathError) as error:
                self._log.warn("stderr of job {id}: {error}", id=job.id, error=error)

    async def _keep(self, job: Job, statistics: RunStatistics) -> None:
        """Keep what the results came to; what cannot be kept can be made again from the log."""
        try:
            await self.in_thread(lambda: self.keep_statistics(job, statistics.summary()))
        except CancelledError:
            raise
        except Exception as error:
            self._log.warn(
                "the statistics of job {id} are not kept: {error}", id=job.id, error=error
            )


def _first_invalid(before: LineCounter, behind: LineCounter) -> InvalidLine | None:
    """Return the first line of a log that is no result; it was counted by two tallies."""
    for tally, lines in ((before, 0), (behind, before.read)):
        if (flaw := tally.first_invalid) is not None:
            return InvalidLine(lines + flaw.number, flaw.reason, flaw.text)
    return None


def _count(
    log: RunLogReader, committed: int, before: LineCounter, behind: LineCounter
) -> Iterator[bool]:
    """Feed the log to the tallies, up to what is committed and behind it.

    Takes its time. Yields after a block, so that everything else has its turns.
    """
    # What was written just before a kill may not be on disk yet, and nobody else syncs it.
    log.sync()
    for tally, start, end in ((before, 0, committed), (behind, committed, _ENDLESS)):
        offset = start
        while block := log.read(offset, min(_BLOCK_BYTES, end - offset)):
            tally.feed(block)
            offset += len(block)
            if len(block) == _BLOCK_BYTES:
                yield True
        tally.close()
