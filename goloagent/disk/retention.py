"""Removes the logs of runs that are over and fully delivered, by age and by their total size.

The oldest go first and always whole; what is pending or running is never touched, as the store does
not name it. A job whose log is removed stays in the history, of which the oldest jobs without a log
are removed when there are too many.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
from twisted.logger import Logger

from goloagent.jobs.store import SettledRun, Store
from goloagent.results.runlog import LogPathError, forget_run, remove_run, size_of_run

SWEEP_SECONDS = 3600.0
# To go to a thread costs more than to look at one log there.
_AT_A_TIME = 100


def overdue(
    runs: Iterable[tuple[SettledRun, int]], oldest: datetime, most_bytes: int
) -> list[SettledRun]:
    """Return which of `runs`, given with their sizes, to remove.

    Those that ended before `oldest`, and then the oldest ones until the rest has at most so many
    bytes.
    """
    remove, kept_bytes = [], 0
    for run, size in sorted(runs, key=lambda pair: pair[0].ended_at, reverse=True):
        kept_bytes += size
        if run.ended_at < oldest or kept_bytes > most_bytes:
            remove.append(run)
    return remove[::-1]


@attrs.frozen
class Retention:
    """Keeps the runs below `logs` for `keep_days`, and at most `keep_bytes` of them.

    Of all jobs the newest `keep_jobs` stay in `store`.
    """

    store: Store
    logs: Path
    keep_days: int
    keep_bytes: int
    keep_jobs: int
    now: Callable[[], datetime]
    in_thread: Callable[..., Awaitable[Any]]

    _log = Logger()

    async def sweep(self) -> None:
        """Remove what is overdue; what cannot be removed is said and tried again the next time."""
        sizes: list[tuple[SettledRun, int]] = []
        some = self.store.settled_runs(_AT_A_TIME)
        while some:
            for run, size in zip(some, await self.in_thread(self._sizes, some), strict=True):
                if isinstance(size, int):
                    sizes.append((run, size))
                else:
                    self._log.warn("the log of job {id}: {error}", id=run.job_id, error=size)
            some = self.store.settled_runs(_AT_A_TIME, some[-1])
        oldest = self.now() - timedelta(days=self.keep_days)
        for run in overdue(sizes, oldest, self.keep_bytes):
            try:
                await self.in_thread(remove_run, self.logs, run.name, run.job_id)
                forget_run(self.logs, run.name, run.job_id)
                self.store.forget_log(run.job_id)
            except (OSError, LogPathError) as error:
                self._log.warn(
                    "the log of job {id} cannot be removed: {error}", id=run.job_id, error=error
                )
            else:
                self._log.info("the log of job {id} is removed", id=run.job_id)
        await self._forget_jobs()

    async def _forget_jobs(self) -> None:
        """Remove jobs beyond the history, a few at a time: the reactor has others to serve."""
        removed = 0
        while count := self.store.forget_jobs(self.keep_jobs, _AT_A_TIME):
            removed += count
            await self.in_thread(_pause)
        if removed:
            self._log.info("{count} jobs are removed from the history (--keep-jobs)", count=removed)

    def _sizes(self, runs: list[SettledRun]) -> list[int | Exception]:
        """Return how many bytes the logs of each run have, or why that cannot be known."""
        sizes: list[int | Exception] = []
        for run in runs:
            try:
                sizes.append(size_of_run(self.logs, run.name, run.job_id))
            except (OSError, LogPathError) as error:
                sizes.append(error)
        return sizes


def _pause() -> None:
    """Take a turn in a thread."""
