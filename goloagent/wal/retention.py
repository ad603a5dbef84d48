"""Retention: removes logs of delivered runs by age and total size, the oldest first.

The log of a run stays while a required output has pending results. Those of other outputs are
abandoned before the log is removed. A job stays in the history after
its log; the oldest jobs without a log are removed when there are too many.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
from twisted.logger import Logger

from goloagent.jobs.database import SettledRun, Store
from goloagent.jobs.job import Job
from goloagent.wal.run_directory import LogPathError, remove_run, size_of_run, unlink_run

SWEEP_SECONDS = 3600.0
# Runs in one call of a worker thread.
_CHUNK = 100


@attrs.frozen
class Aged:
    """A run, the seconds since its end, and the bytes of its logs."""

    run: SettledRun
    age: float
    size: int


def select_expired(runs: Iterable[Aged], max_age: float, max_bytes: int) -> list[SettledRun]:
    """Return the runs to remove, oldest first.

    These are the runs older than `max_age`, and the oldest until the rest has `max_bytes`.
    """
    remove, total = [], 0
    for aged in sorted(runs, key=lambda aged: aged.age):
        total += aged.size
        if aged.age > max_age or total > max_bytes:
            remove.append(aged.run)
    return remove[::-1]


@attrs.define
class Ages:
    """The ages of runs, which do not change if the clock is set.

    Only the first sweep of the process uses the clock. A run that is new in a later sweep has ended
    since the sweep before it.

    Args:
        seconds: the monotonic time.
        now: the time of day.
    """

    seconds: Callable[[], float]
    now: Callable[[], datetime]
    _ended: dict[str, float] = attrs.field(init=False, factory=dict)
    _seen: dict[str, float] = attrs.field(init=False, factory=dict)
    _started: float = attrs.field(init=False, default=0.0)
    _swept: float | None = attrs.field(init=False, default=None)

    def begin(self) -> None:
        """Begin a sweep."""
        self._seen, self._started = {}, self.seconds()

    def of(self, run: SettledRun) -> float:
        """Return the age of a run in seconds."""
        seconds = self.seconds()
        if run.job_id not in self._ended:
            longest = float("inf") if self._swept is None else seconds - self._swept
            age = min(max(0.0, (self.now() - run.ended_at).total_seconds()), longest)
            self._seen[run.job_id] = seconds - age
        else:
            self._seen[run.job_id] = self._ended[run.job_id]
        return seconds - self._seen[run.job_id]

    def end(self) -> None:
        """End a sweep; runs that were not in it are dropped."""
        self._ended, self._swept = self._seen, self._started


@attrs.frozen
class Retention:
    """Retains logs for `keep_days` and up to `keep_bytes`, and the newest `keep_jobs` jobs.

    Args:
        give_up: abandons the pending results of a job and saves it. Raises OSError.
    """

    store: Store
    logs: Path
    keep_days: int
    keep_bytes: int
    keep_jobs: int
    ages: Ages
    in_thread: Callable[..., Awaitable[Any]]
    give_up: Callable[[Job], object]

    _log = Logger()

    async def sweep(self) -> None:
        """Remove expired logs and jobs; failures are logged, and the next sweep retries them."""
        found: list[Aged] = []
        self.ages.begin()
        for some in self._runs():
            for run, size in zip(some, await self.in_thread(self._sizes, some), strict=True):
                if isinstance(size, int):
                    found.append(Aged(run, self.ages.of(run), size))
                else:
                    self._log.warn("the log of job {job}: {error}", job=run.job_id, error=size)
        self.ages.end()
        max_age = timedelta(days=self.keep_days).total_seconds()
        for run in select_expired(found, max_age, self.keep_bytes):
            try:
                self._abandon(run)
                await self.in_thread(remove_run, self.logs, run.name, run.job_id)
                unlink_run(self.logs, run.name, run.job_id)
                self.store.forget_log(run.job_id)
            except (OSError, LogPathError) as error:
                self._log.warn(
                    "the log of job {job} cannot be removed: {error}", job=run.job_id, error=error
                )
            else:
                self._log.info("the log of job {job} was removed by retention", job=run.job_id)
        await self._forget_jobs()

    def _runs(self) -> Iterator[list[SettledRun]]:
        """Yield some of the runs whose logs no required output needs, until there are no more."""
        some = self.store.settled_runs(_CHUNK)
        while some:
            yield some
            some = self.store.settled_runs(_CHUNK, some[-1])
        yield [
            SettledRun(job.id, job.spec.name, job.ended_at)
            for job in self.store.unsettled()
            if job.ended_at is not None and job.has_log and not job.needs_log
        ]

    def _abandon(self, run: SettledRun) -> None:
        """Save that an output that is not required does not get the rest of a run."""
        job = self.store.get(run.job_id)
        if job is not None and not job.fully_delivered:
            self._log.warn(
                "the log of job {job} is removed by retention, and outputs that are not required"
                " get no more of it: {names}",
                job=job.id,
                names=", ".join(filter(job.has_pending, job.checkpoints)),
            )
            self.give_up(job)

    async def _forget_jobs(self) -> None:
        """Remove the oldest jobs in chunks, so that the reactor can do other work."""
        removed = 0
        while count := self.store.forget_jobs(self.keep_jobs, _CHUNK):
            removed += count
            await self.in_thread(_pause)
        if removed:
            self._log.info("removed {count} jobs from the history (--keep-jobs)", count=removed)

    def _sizes(self, runs: list[SettledRun]) -> list[int | Exception]:
        """Return the bytes of each run's logs, or the error."""
        sizes: list[int | Exception] = []
        for run in runs:
            try:
                sizes.append(size_of_run(self.logs, run.name, run.job_id))
            except (OSError, LogPathError) as error:
                sizes.append(error)
        return sizes


def _pause() -> None:
    """Do nothing, in a thread."""
