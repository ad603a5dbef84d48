"""Totals over all jobs since the start of the process, and the lag of delivery.

The counts of a recovered job include those of previous processes, so only the growth of each job
since its first update is added.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime

import attrs

from goloagent.jobs.job import Job, State
from goloagent.metrics.delivery_lag import DeliveryLag

_COUNTS = {
    "calls": ("started", "ok", "failed"),
    "results": ("read", "valid", "invalid", "delivered", "rejected", "abandoned"),
}


@attrs.define
class _Tracked:
    job: Job
    counted: Counter[str]
    over: bool
    lag: DeliveryLag


@attrs.define
class JobCounters:
    """Tracks every job until all its results are delivered.

    Args:
        seconds: returns the monotonic time.
        now: returns the time of day, for the age of results of previous processes.

    Attributes:
        totals: the counts of the job resource as ``calls_…`` and ``results_…``.
        ended: the number of ended jobs by state.
    """

    seconds: Callable[[], float]
    now: Callable[[], datetime]
    totals: Counter[str] = attrs.Factory(Counter)
    ended: Counter[State] = attrs.Factory(Counter)
    _tracked: dict[str, _Tracked] = attrs.field(init=False, factory=dict)

    def update(self, job: Job) -> Counter[str]:
        """Add the growth of a job's counts since its last update, and return it."""
        tracked = self._tracked.get(job.id)
        if tracked is None:
            if job.fully_delivered:
                return Counter()
            tracked = self._track(job)
        counts = _counts(job)
        growth = counts - tracked.counted
        tracked.counted |= counts
        self.totals += growth
        if job.state.over and not tracked.over:
            tracked.over = True
            self.ended[job.state] += 1
        if job.fully_delivered:
            del self._tracked[job.id]
        return growth

    def poll(self) -> None:
        """Update all tracked jobs and their lag; to be called once a second."""
        seconds = self.seconds()
        for tracked in list(self._tracked.values()):
            self.update(tracked.job)
            results = tracked.job.results
            tracked.lag.update(seconds, results.valid, results.valid - results.pending)

    @property
    def open_jobs(self) -> list[Job]:
        """The tracked jobs."""
        return [tracked.job for tracked in self._tracked.values()]

    @property
    def in_flight(self) -> int:
        """The calls in flight of jobs that are not over."""
        return sum(job.calls.in_flight for job in self.open_jobs if not job.state.over)

    @property
    def pending(self) -> int:
        """The pending results."""
        return sum(job.results.pending for job in self.open_jobs)

    @property
    def lag_seconds(self) -> float:
        """The age of the oldest pending result at the last `poll`."""
        oldest = [tracked.lag.oldest_seconds for tracked in self._tracked.values()]
        since = min((seconds for seconds in oldest if seconds is not None), default=None)
        return 0.0 if since is None else max(0.0, self.seconds() - since)

    def lag_bytes(self, log_bytes: Callable[[Job], int]) -> int:
        """Return the bytes of logs after their checkpoints; `log_bytes` returns a log's length."""
        behind = [job for job in self.open_jobs if job.results.pending]
        return sum(max(0, log_bytes(job) - job.results.committed) for job in behind)

    def _track(self, job: Job) -> _Tracked:
        # The age of results of a previous process is unknown, and at most that of the job.
        lag = DeliveryLag()
        if job.results.pending and job.started_at is not None:
            processed = job.results.valid - job.results.pending
            age = max(0.0, (self.now() - job.started_at).total_seconds())
            lag.update(self.seconds() - age, job.results.valid, processed)
        tracked = _Tracked(job, _counts(job), job.state.over, lag)
        self._tracked[job.id] = tracked
        return tracked


def _counts(job: Job) -> Counter[str]:
    counts = {
        f"{group}_{name}": getattr(getattr(job, group), name)
        for group, names in _COUNTS.items()
        for name in names
    }
    return Counter(counts)
