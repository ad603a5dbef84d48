"""What is left of the agent's earlier life: jobs that were running, results not delivered.

A job that was running is over, and is never run again by itself. What is pending is what the log
holds behind the committed offset, whatever was counted before: a power cut can take the end of a
log whose results were counted, or even delivered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from goloagent import remains
from goloagent.jobs import outcome
from goloagent.jobs.job import Job, State
from goloagent.jobs.job import Results as Counted
from goloagent.jobs.store import Store
from goloagent.results.runlog import LogPathError, LogReader
from goloagent.results.tally import Tally
from goloagent.run import Results
from goloagent.statistics.run import RunStatistics
from goloagent.statistics.summary import Summary

_BLOCK_BYTES = 1024 * 1024


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
    """

    store: Store
    open_log: Callable[[Job], LogReader]
    results: Results
    save: Callable[[Job], None]
    now: Callable[[], datetime]
    in_thread: Callable[..., Deferred[Any]]
    notice: Callable[[str], None]
    keep_statistics: Callable[[Job, Summary], None]
    read_stderr: Callable[[Job], str]

    _log = Logger()

    async def recover(self) -> None:
        """Settle what was running and hand logs with pending results on; leave the queue."""
        for job in self.store.unsettled():
            if job.state is not State.QUEUED:
                await self._take_up(job, self.save)

    async def restore(self, logs: Path, kept: Path) -> None:
        """Fill a new database with what the disk still knows."""
        binaries = await self.in_thread(remains.binaries, kept)
        for binary in binaries:
            if self.store.binary(binary.id) is None:  # else it was uploaded meanwhile
                self.store.add_binary(binary)
        runs = await self.in_thread(remains.runs, logs)
        # An earlier life may have restored some, and been killed.
        runs = [job for job in runs if self.store.get(job.id) is None]
        unknown = sum(job.results == Counted() for job in runs)
        self.notice(
            f"found again: {len(binaries)} binaries and {len(runs)} runs, of which {unknown} have"
            " no account: their results are sent from the beginning"
        )
        await self.adopt(runs)

    async def adopt(self, runs: Iterable[Job]) -> None:
        """Take up runs that were found without a row, and keep them."""

        def keep(job: Job) -> None:
            self.store.add(job)
            self.save(job)  # which lets go of a settled one

        for job in runs:
            await self._take_up(job, keep)

    async def _take_up(self, job: Job, keep: Callable[[Job], None]) -> None:
        try:
            readable = await self._count_again(job)
            await self._read_stderr(job)
            if not job.state.over:
                job.state, job.cause, job.ended_at = (
                    State.INTERRUPTED,
                    outcome.AGENT_RESTART,
                    self.now(),
                )
            keep(job)
            if readable and job.results.pending:
                self.results.begin(job)
                self.results.end(job)
        except Exception as error:
            self._log.failure("job {id} cannot be taken up", id=job.id)
            self.notice(f"job {job.id} cannot be taken up: {error}")

    async def _count_again(self, job: Job) -> bool:
        """Make the job's account what its log says; tell whether there is a log to be read."""
        results = job.results
        # Of a job that is over they were kept at its end.
        statistics = None if job.state.over else RunStatistics()
        observe = None if statistics is None else statistics.add
        before, behind = Tally(observe=observe), Tally(observe=observe)
        if not job.logged:
            return False
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
            # What was written just before a kill may not be on disk yet, and nobody else syncs it.
            await self.in_thread(log.sync)
            await self._feed(before, log, 0, results.committed)
            await self._feed(behind, log, results.committed, None)
        finally:
            log.close()
        if statistics is not None:
            await self._keep(job, statistics)
        lost = results.pending - behind.valid
        if lost > 0:
            self.notice(f"the log of job {job.id} is damaged: {lost} results in it are lost")
        settled = results.delivered + results.rejected
        results.invalid = before.invalid + behind.invalid
        results.read = settled + results.invalid + behind.valid
        return True

    async def _read_stderr(self, job: Job) -> None:
        if job.logged and not job.stderr_tail:
            try:
                job.stderr_tail = await self.in_thread(self.read_stderr, job)
            except (OSError, LogPathError) as error:
                self._log.warn("stderr of job {id}: {error}", id=job.id, error=error)

    async def _keep(self, job: Job, statistics: RunStatistics) -> None:
        """Keep what the results came to; what cannot be kept can be made again from the log."""
        try:
            await self.in_thread(lambda: self.keep_statistics(job, statistics.summary()))
        except Exception as error:
            self._log.warn(
                "the statistics of job {id} are not kept: {error}", id=job.id, error=error
            )

    async def _feed(self, tally: Tally, log: LogReader, offset: int, end: int | None) -> None:
        """Feed the log to `tally`, a block at a time so that everything else has its turns."""

        def feed() -> bytes:
            count = _BLOCK_BYTES if end is None else min(_BLOCK_BYTES, end - offset)
            block = log.read(offset, count)
            tally.feed(block)
            return block

        while block := await self.in_thread(feed):
            offset += len(block)
        tally.close()
