"""Totals over all jobs since the start of the process, and the lag of delivery.

The counts of a recovered job include those of previous processes, so only the growth of each job
since its first update is added.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime

import attrs

from goloagent.core.output_schemes import COLLECTOR
from goloagent.jobs.job import Job, State
from goloagent.metrics.delivery_lag import DeliveryLag

_COUNTS = {
    "calls": ("scheduled", "started", "dropped", "ok", "failed"),
    "results": ("read", "valid", "invalid", "delivered", "rejected", "abandoned"),
}


@attrs.define
class _Tracked:
    job: Job
    counted: Counter[str]
    over: bool
    outputs: Counter[tuple[str, str]] = attrs.Factory(Counter)
    lags: dict[str, DeliveryLag] = attrs.Factory(dict)


@attrs.define
class JobCounters:
    """Tracks every job until all its results are delivered.

    Args:
        seconds: returns the monotonic time.
        now: returns the time of day, for the age of results of previous processes.

    Attributes:
        totals: the counts of the job resource as ``calls_…`` and ``results_…``.
        output_totals: ``delivered``, ``rejected`` and ``abandoned`` results of each output.
        ended: the number of ended jobs by state.
        last_judged: the job that ended last, of those with a verdict.
    """

    seconds: Callable[[], float]
    now: Callable[[], datetime]
    totals: Counter[str] = attrs.Factory(Counter)
    output_totals: Counter[tuple[str, str]] = attrs.Factory(Counter)
    ended: Counter[State] = attrs.Factory(Counter)
    last_judged: Job | None = None
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
        of_outputs = _output_counts(job)
        self.output_totals += of_outputs - tracked.outputs
        tracked.outputs |= of_outputs
        if job.state.over and not tracked.over:
            tracked.over = True
            self.ended[job.state] += 1
            if job.verdict is not None:
                self.last_judged = job
        if job.fully_delivered:
            del self._tracked[job.id]
        return growth

    def poll(self) -> None:
        """Update all tracked jobs and their lag; to be called once a second."""
        seconds = self.seconds()
        for tracked in list(self._tracked.values()):
            self.update(tracked.job)
            for name in tracked.job.checkpoints:
                results = tracked.job.account(name)
                lag = tracked.lags.setdefault(name, DeliveryLag())
                lag.update(seconds, results.valid, results.valid - results.pending)

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
        return self.pending_of(COLLECTOR)

    def pending_of(self, output: str) -> int:
        """Return the results that are pending for an output."""
        return sum(
            job.account(output).pending for job in self.open_jobs if output in job.checkpoints
        )

    @property
    def lag_seconds(self) -> float:
        """The age of the oldest result that is pending for the collector, at the last `poll`."""
        return self.lag_of(COLLECTOR)

    def lag_of(self, output: str) -> float:
        """Return the age of the oldest result that is pending for an output."""
        lags = (tracked.lags.get(output) for tracked in self._tracked.values())
        return max(map(self._age, lags), default=0.0)

    def job_lag(self, job_id: str, output: str) -> float:
        """Return the age of the oldest result of a job that is pending for an output."""
        tracked = self._tracked.get(job_id)
        return 0.0 if tracked is None else self._age(tracked.lags.get(output))

    def _age(self, lag: DeliveryLag | None) -> float:
        since = None if lag is None else lag.oldest_seconds
        return 0.0 if since is None else max(0.0, self.seconds() - since)

    def lag_bytes(self, log_bytes: Callable[[Job], int]) -> int:
        """Return the bytes of logs after their checkpoints; `log_bytes` returns a log's length."""
        behind = [job for job in self.open_jobs if job.results.pending]
        return sum(max(0, log_bytes(job) - job.results.committed) for job in behind)

    def _track(self, job: Job) -> _Tracked:
        tracked = _Tracked(job, _counts(job), job.state.over, _output_counts(job))
        if job.started_at is not None:
            # The age of results of a previous process is unknown, and at most that of the job.
            age = max(0.0, (self.now() - job.started_at).total_seconds())
            for name in job.checkpoints:
                results, lag = job.account(name), DeliveryLag()
                if results.pending:
                    processed = results.valid - results.pending
                    lag.update(self.seconds() - age, results.valid, processed)
                tracked.lags[name] = lag
        self._tracked[job.id] = tracked
        return tracked


def _counts(job: Job) -> Counter[str]:
    counts = {
        f"{group}_{name}": getattr(getattr(job, group), name)
        for group, names in _COUNTS.items()
        for name in names
    }
    return Counter(counts)


def _output_counts(job: Job) -> Counter[tuple[str, str]]:
    return Counter(
        {
            (name, kind): getattr(checkpoint, kind)
            for name, checkpoint in job.checkpoints.items()
            for kind in ("delivered", "rejected", "abandoned")
        }
    )
