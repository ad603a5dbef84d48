"""Recovers the jobs of the previous process: interrupted runs and undelivered results.

A job that was running is over, and is never run again automatically. Its results are counted again
from its log, because a power cut can remove the end of a log that was already counted or delivered.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import attrs
from twisted.internet.defer import CancelledError, Deferred, DeferredList, ensureDeferred
from twisted.logger import Logger

from goloagent.core.output_schemes import RESULT
from goloagent.core.stats.run_stats import RunStatistics
from goloagent.core.thresholds import selectors
from goloagent.jobs.database import Store
from goloagent.jobs.job import Job, ResultCounts, State
from goloagent.results.line_counter import LineCounter
from goloagent.runs import messages, outcome
from goloagent.runs.delivery import DeliveryQueue
from goloagent.runs.judge import judge_interrupted
from goloagent.runs.recount import count_lines, first_invalid, merged_errors
from goloagent.wal.run_directory import LogPathError
from goloagent.wal.run_log import RunLogReader
from goloagent.wal.sidecar import Manifest
from goloagent.wal.timeline_totals import TimelineTotals

_CONCURRENT_JOBS = 8
# Runs that ended this long before the last one are on the disk, however slow it is.
_SYNCED_SECONDS = 60.0


@attrs.frozen
class Recovery:
    """Recovers the jobs in `store`.

    Args:
        save: saves a job, now or later.
        in_thread: runs a function in a worker thread; the last four arguments run there.
        notice: reports a sentence to the operator.
        keep_statistics: stores the statistics of an interrupted job.
        read_stderr: returns the end of a job's stderr.
        read_manifest: returns the counts stored next to a fully delivered log, or None.
        read_timeline: returns the totals of a run's timeline, or None.
    """

    store: Store
    open_log: Callable[[Job], RunLogReader]
    delivery: DeliveryQueue
    save: Callable[[Job], None]
    now: Callable[[], datetime]
    in_thread: Callable[..., Deferred[Any]]
    notice: Callable[[str], None]
    keep_statistics: Callable[[Job, RunStatistics], None]
    read_stderr: Callable[[Job], str]
    read_manifest: Callable[[Job], Manifest | None] = lambda job: None
    read_timeline: Callable[[Job], TimelineTotals | None] = lambda job: None

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
        for job in jobs:
            self.assign_unknown(job)

        def add(job: Job) -> None:
            self.store.add(job)
            self.save(job)  # a settled job is live no longer

        await self.recover_jobs(jobs, add)

    def assign_unknown(self, job: Job) -> None:
        """Give a job without an account its outputs, which then get all its results."""
        if job.results == ResultCounts():
            self.delivery.assign(job)

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
            was_running = not job.state.over
            totals = await self._restore_load(job) if was_running else None
            readable, statistics = await self._recount(job)
            await self._read_stderr(job)
            if was_running:
                job.cpu = None  # it is only of the time until the job was saved
                job.state, job.cause, job.ended_at = (
                    State.INTERRUPTED,
                    outcome.AGENT_RESTART,
                    self.now(),
                )
                job.verdict = judge_interrupted(job, statistics, totals)
            save(job)
            if was_running or not job.fully_delivered:
                self._log.info("{sentence}", sentence=messages.recovered(job))
            if readable and not job.fully_delivered:
                self.delivery.begin(job)
                self.delivery.end(job)
        except CancelledError:
            raise  # the agent stops; the next start recovers the job
        except Exception as error:
            self._log.failure("job {job} cannot be recovered", job=job.id)
            self.notice(f"job {job.id} cannot be recovered: {error}")

    async def _recount(self, job: Job) -> tuple[bool, RunStatistics | None]:
        """Count the results of a job in its log.

        Return whether the log is readable, and the statistics if the job was running.
        """
        if not job.has_log:
            return False, None
        manifest: Manifest | None = await self.in_thread(self.read_manifest, job)
        if manifest is not None and manifest.is_newer(job):
            manifest.restore(job)  # the database is an old copy
        results = _least_committed(job)
        # Those of a job that is over are stored already.
        statistics = None
        if not job.state.over:
            statistics = RunStatistics(selectors(job.spec.thresholds))
        observe = None if statistics is None else statistics.add
        done = LineCounter(observe=observe)
        pending = LineCounter(observe=observe, start=results.committed)
        try:
            log = self.open_log(job)
        except (OSError, LogPathError) as error:
            # The disk may not be mounted, so the next start tries again.
            most = max(job.account(name).pending for name in job.checkpoints)
            self.notice(
                f"the log of job {job.id} cannot be read: {error}; {most} results stay pending"
                " until the agent starts with the log"
            )
            return False, None
        try:
            version = log.version()
            counting = count_lines(log, results.committed, done, pending)
            while await self.in_thread(next, counting, False):
                pass
        finally:
            log.close()
        if statistics is not None:
            job.errors = merged_errors(job, statistics)
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
        # No output has finished with more results than there were.
        most = max(one.done for one in job.checkpoints.values())
        job.lines.read = max(finished + pending.valid, most) + job.lines.invalid
        job.verified_range = pending.verified_range
        job.log_version = version
        if job.invalid_line is None:
            job.invalid_line = first_invalid(done, pending)
        return True, statistics

    async def _restore_load(self, job: Job) -> TimelineTotals | None:
        """Restore the latest counts of calls, which may be those of the timeline.

        Return the totals of the timeline.
        """
        totals: TimelineTotals | None = await self.in_thread(self.read_timeline, job)
        if totals is not None:
            job.limited = totals.limited
            # The database may have been written after the last window.
            job.calls = max(totals.calls, job.calls, key=lambda calls: calls.started)
        return totals

    async def _read_stderr(self, job: Job) -> None:
        if job.has_log and not job.stderr_tail:
            try:
                job.stderr_tail = await self.in_thread(self.read_stderr, job)
            except (OSError, LogPathError) as error:
                self._log.warn(
                    "cannot read the stderr of job {job}: {error}", job=job.id, error=error
                )

    async def _keep_statistics(self, job: Job, statistics: RunStatistics) -> None:
        """Store the statistics; without them they are computed again from the log."""
        try:
            await self.in_thread(self.keep_statistics, job, statistics)
        except CancelledError:
            raise
        except Exception as error:
            self._log.warn(
                "cannot store the statistics of job {job}: {error}", job=job.id, error=error
            )


def _least_committed(job: Job) -> ResultCounts:
    """Return the counts with those of the output that has the most of the log to send."""
    names = [name for name, one in job.checkpoints.items() if one.unit == RESULT]
    return min(map(job.account, names), key=lambda counts: counts.committed)
