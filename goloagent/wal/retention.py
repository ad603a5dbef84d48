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

from goloagent.jobs.database import SettledRun, Store
from goloagent.wal.run_log import LogPathError, remove_run, size_of_run, unlink_run

SWEEP_SECONDS = 3600.0
# To go to a thread costs more than to look at one log there.
_AT_A_TIME = 100


@attrs.frozen
class Aged:
    """A run, for how many seconds it has been over, and the size of its logs."""

    run: SettledRun
    age: float
    size: int


def select_expired(runs: Iterable[Aged], max_age: float, max_bytes: int) -> list[SettledRun]:
    """Return which of `runs` to remove, the oldest first.

    Those older than `max_age`, and then the oldest ones until the rest has at most so many bytes.
    """
    remove, kept_bytes = [], 0
    for aged in sorted(runs, key=lambda aged: aged.age):
        kept_bytes += aged.size
        if aged.age > max_age or kept_bytes > max_bytes:
            remove.append(aged.run)
    return remove[::-1]


@attrs.define
class Ages:
    """How long runs have been over, whoever sets the clock meanwhile.

    The clock is believed once: in the first sweep of this life. A run that is met later has ended
    since the sweep before.

    Args:
        seconds: the monotonic time.
        now: the time of day.
    """

    seconds: Callable[[], float]
    now: Callable[[], datetime]
    _ended: dict[str, float] = attrs.field(init=False, factory=dict)
    _met: dict[str, float] = attrs.field(init=False, factory=dict)
    _begun: float = attrs.field(init=False, default=0.0)
    _swept: float | None = attrs.field(init=False, default=None)

    def begin(self) -> None:
        """Begin a sweep."""
        self._met, self._begun = {}, self.seconds()

    def of(self, run: SettledRun) -> float:
        """Return the age of a run in seconds."""
        seconds = self.seconds()
        if run.job_id not in self._ended:
            longest = float("inf") if self._swept is None else seconds - self._swept
            age = min(max(0.0, (self.now() - run.ended_at).total_seconds()), longest)
            self._met[run.job_id] = seconds - age
        else:
            self._met[run.job_id] = self._ended[run.job_id]
        return seconds - self._met[run.job_id]

    def end(self) -> None:
        """End a sweep: what was not met in it is forgotten."""
        self._ended, self._swept = self._met, self._begun


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
    ages: Ages
    in_thread: Callable[..., Awaitable[Any]]

    _log = Logger()

    async def sweep(self) -> None:
        """Remove what is overdue; what cannot be removed is said and tried again the next time."""
        found: list[Aged] = []
        self.ages.begin()
        some = self.store.settled_runs(_AT_A_TIME)
        while some:
            for run, size in zip(some, await self.in_thread(self._sizes, some), strict=True):
                if isinstance(size, int):
                    found.append(Aged(run, self.ages.of(run), size))
                else:
                    self._log.warn("the log of job {id}: {error}", id=run.job_id, error=size)
            some = self.store.settled_runs(_AT_A_TIME, some[-1])
        self.ages.end()
        max_age = timedelta(days=self.keep_days).total_seconds()
        for run in select_expired(found, max_age, self.keep_bytes):
            try:
                await self.in_thread(remove_run, self.logs, run.name, run.job_id)
                unlink_run(self.logs, run.name, run.job_id)
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
