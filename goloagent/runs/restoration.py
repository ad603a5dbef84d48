"""Restores rows that a lost or old database misses: binaries, runs and queued jobs on the disk.

It runs at every start and deletes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import attrs
from twisted.internet.defer import Deferred

from goloagent.jobs.database import Binary, Store
from goloagent.jobs.job import Job, ResultCounts, State
from goloagent.jobs.queue_files import QueuedJobs
from goloagent.runs.recovery import Recovery
from goloagent.wal.rebuild import DATABASE_LOST, RunScanner


@attrs.frozen
class Restoration:
    """Restores into `store` the binaries and runs of `scanner` and the jobs of `queued`.

    Args:
        recovery: recovers the runs that were found.
        save: saves a job, now or later.
        in_thread: runs a function in a worker thread, where the disk is read.
        notice: reports a sentence to the operator.
    """

    store: Store
    scanner: RunScanner
    queued: QueuedJobs
    recovery: Recovery
    save: Callable[[Job], None]
    now: Callable[[], datetime]
    in_thread: Callable[..., Deferred[Any]]
    notice: Callable[[str], None]

    async def restore(self, damage: str | None) -> bool:
        """Restore and report it; return whether everything could be read.

        Args:
            damage: the defect of the database, or None.
        """
        if damage is not None:
            self.notice(damage)
        try:
            await self._restore(damage is not None)
        except OSError as error:
            self.notice(f"the disk is not restored completely: {error}; the next start continues")
            return False
        return True

    async def _restore(self, damaged: bool) -> None:
        known = self.store.job_ids()
        binaries = await self._binaries()
        rerun = await self._forgotten_runs()
        runs: list[Job] = await self.in_thread(self.scanner.runs, known)
        queued = await self._queued(known | {job.id for job in runs})
        found = [*runs, *rerun]
        if damaged or binaries or found or queued:
            unknown = sum(job.results == ResultCounts() for job in found)
            self.notice(
                f"{'' if damaged else 'the database is older than the disk; '}found again:"
                f" {len(binaries)} binaries and {len(found)} runs, of which {unknown} have no"
                " account: their results are sent from the beginning;"
                f" and {len(queued)} queued jobs"
            )
        await self.recovery.recover_jobs(rerun, self.save)
        await self.recovery.import_runs(runs)
        # Last, so that they run after the jobs of the database.
        for job in queued:
            self.store.add(job)
            self.save(job)

    async def _binaries(self) -> list[Binary]:
        binaries, errors = await self.in_thread(self.scanner.binaries, self.store.binary_ids())
        for error in errors:
            self.notice(error)
        added = []
        for binary in binaries:
            if self.store.binary(binary.id) is None:  # else it was uploaded meanwhile
                self.store.add_binary(binary)
                added.append(binary)
        return added

    async def _forgotten_runs(self) -> list[Job]:
        """Return the jobs that are queued in an old database and have run: no job runs twice."""
        found = []
        for job in self.store.queued():
            if await self.in_thread(self.scanner.has_run, job):
                job.state, job.cause, job.ended_at = (
                    State.INTERRUPTED,
                    DATABASE_LOST,
                    self.now(),
                )
                job.has_log = True
                manifest = await self.in_thread(self.scanner.manifest_of, job)
                if manifest is None:
                    job.restore_results(ResultCounts())
                    self.recovery.assign_unknown(job)
                else:
                    job.restore_results(manifest.results, manifest.outputs)
                found.append(job)
        return found

    async def _queued(self, known: set[str]) -> list[Job]:
        """Return the queued jobs without a row, and remove the files of jobs not queued."""
        loaded: list[Job] = await self.in_thread(self.queued.load, known)
        # Jobs that were queued meanwhile have files too.
        rows = self.store.job_ids()
        queued = [job for job in loaded if job.id not in rows]
        for job_id in known:
            job = self.store.get(job_id) if job_id in self.queued.kept else None
            if job is not None:
                self.queued.observe(job)
        for job in self.store.queued():
            self.queued.observe(job)
        return queued
