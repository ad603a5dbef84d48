"""The statistics of runs that are over: from the file beside the log, or made of the log again.

What takes time is done off the reactor thread, and only once however many ask. Logs are read one
at a time: each keeps a processor busy, and so holds up everything else.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, DeferredLock, ensureDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from goloagent.jobs.job import Job
from goloagent.results.runlog import LogPathError, open_reader
from goloagent.statistics.file import load_statistics, write_statistics
from goloagent.statistics.run import rebuild
from goloagent.statistics.summary import Summary


class Archive:
    """The runs below `logs`; `in_thread` runs a function off the reactor thread."""

    _log = Logger()

    def __init__(self, logs: Path, in_thread: Callable[..., Deferred[Any]]) -> None:
        self._logs = logs
        self._in_thread = in_thread
        self._rebuilding = DeferredLock()
        self._waiting: dict[str, list[Deferred[Summary]]] = {}

    def summary(self, job: Job) -> Deferred[Summary]:
        """Return the statistics of a job that is over, in a Deferred that may be cancelled.

        It fails with FileNotFoundError when there is no log, LogPathError when something else
        stands in its place, and OSError when it cannot be read.
        """
        waiting: Deferred[Summary] = Deferred()
        others = self._waiting.get(job.id)
        if others is not None:
            others.append(waiting)
            return waiting
        self._waiting[job.id] = [waiting]
        ensureDeferred(self._find(job)).addBoth(partial(self._answer, job.id))
        return waiting

    async def _find(self, job: Job) -> Summary:
        run = (self._logs, job.spec.name, job.id)
        kept: Summary | None = await self._in_thread(load_statistics, *run)
        if kept is not None:
            return kept
        self._log.info("making the statistics of job {id} of its log", id=job.id)
        made: Summary = await self._rebuilding.run(self._in_thread, _rebuild, *run)
        try:
            await self._in_thread(write_statistics, *run, made)
        except (OSError, LogPathError) as error:
            self._log.warn(
                "the statistics of job {id} are not kept: {error}", id=job.id, error=error
            )
        return made

    def _answer(self, job_id: str, outcome: Summary | Failure) -> None:
        for waiting in self._waiting.pop(job_id):
            waiting.callback(outcome)  # a Failure is passed on as one


def _rebuild(logs: Path, name: str, job_id: str) -> Summary:
    log = open_reader(logs, name, job_id)
    try:
        return rebuild(log.read).summary()
    finally:
        log.close()
