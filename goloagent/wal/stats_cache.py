"""The statistics of runs that are over, from their files, or rebuilt from their logs.

Concurrent requests share one result. Rebuilds run in a worker thread, one at a time, because each
keeps a processor busy.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, DeferredLock
from twisted.logger import Logger

from goloagent.concurrency.single_flight import SingleFlight
from goloagent.core.stats.run_stats import RunStatistics
from goloagent.core.stats.summary import Summary
from goloagent.jobs.job import Job
from goloagent.results.line_counter import LineCounter
from goloagent.wal.run_directory import LogPathError
from goloagent.wal.run_log import open_reader
from goloagent.wal.stats_file import load_statistics, write_statistics
from goloagent.wal.stored_calls import restore_calls

BLOCK_BYTES = 1024 * 1024


class SummaryCache:
    """The runs below `logs`; `in_thread` runs a function off the reactor thread."""

    _log = Logger()

    def __init__(self, logs: Path, in_thread: Callable[..., Deferred[Any]]) -> None:
        self._logs = logs
        self._in_thread = in_thread
        self._rebuilding = DeferredLock()
        self._stopped = False
        self._summaries: SingleFlight[Summary] = SingleFlight()

    def stop(self) -> None:
        """End a rebuild between two blocks; its requests fail with an OSError."""
        self._stopped = True

    def get(self, job: Job) -> Deferred[Summary]:
        """Return the statistics of a job that is over, in a Deferred that may be cancelled.

        It fails with FileNotFoundError if there is no log, LogPathError if its path is no file,
        and OSError if it cannot be read.
        """
        return self._summaries.do(job.id, lambda: self._find(job))

    def put(self, job: Job, statistics: RunStatistics) -> Deferred[Summary]:
        """Write the statistics of a run that has ended; meanwhile `get` waits for them."""

        async def write() -> Summary:
            summary: Summary = await self._in_thread(statistics.summary, True)
            await self._write(job, summary)
            return summary

        return self._summaries.do(job.id, write)

    async def _find(self, job: Job) -> Summary:
        run = (self._logs, job.spec.name, job.id)
        stored: Summary | None = await self._in_thread(load_statistics, *run)
        if stored is not None:
            return stored
        self._log.info("rebuilding the statistics of job {job} from its log", job=job.id)
        rebuilt: Summary = await self._rebuilding.run(self._in_thread, self._rebuild, job)
        await self._write(job, rebuilt)
        return rebuilt

    async def _write(self, job: Job, summary: Summary) -> None:
        """Write statistics; log an error, because they can be rebuilt."""
        try:
            await self._in_thread(write_statistics, self._logs, job.spec.name, job.id, summary)
        except (OSError, LogPathError) as error:
            self._log.warn(
                "the statistics of job {job} cannot be written: {error}", job=job.id, error=error
            )

    def _rebuild(self, job: Job) -> Summary:
        """Rebuild the statistics of a run from its files, in a thread."""
        log = open_reader(self._logs, job.spec.name, job.id)

        def read(offset: int, count: int) -> bytes:
            if self._stopped:
                raise OSError(errno.ECANCELED, "the agent stops")
            return log.read(offset, count)

        try:
            statistics = rebuild(read)
        finally:
            log.close()
        restore_calls(statistics, self._logs, job)
        return statistics.summary(encoded=True)


def rebuild(read: Callable[[int, int], bytes]) -> RunStatistics:
    """Rebuild the statistics of a run whose log is complete, at 2 µs a result.

    Args:
        read: returns up to a number of bytes of the log from an offset; fewer only at its end.
    """
    statistics = RunStatistics()
    lines = LineCounter(observe=statistics.add)
    offset = 0
    while block := read(offset, BLOCK_BYTES):
        lines.feed(block)
        offset += len(block)
    lines.close()
    return statistics
