"""The account of all jobs together: what was counted in this life of the agent, and what is open.

A job's own account begins with it and ends with it, and what an earlier life counted is in it too;
totals must only grow. So each job is followed from its first sight on, and what it grew by is
added. Pure; knows no Prometheus.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime

import attrs

from goloagent.jobs.job import Job, State
from goloagent.metrics.delivery_lag import DeliveryLag


@attrs.define
class _Followed:
    job: Job
    counted: Counter[str]
    over: bool
    backlog: DeliveryLag


@attrs.define
class JobCounters:
    """Follows every job it is shown until nothing about it will change any more.

    ``totals`` has the counts of the job resource as ``calls_…`` and ``results_…``; ``ended`` the
    jobs that came to their end.

    Args:
        seconds: the monotonic time: however the clock is set, an age stays what it is.
        now: the time of day, by which the age of what an earlier life left is known once.
    """

    seconds: Callable[[], float]
    now: Callable[[], datetime]
    totals: Counter[str] = attrs.Factory(Counter)
    ended: Counter[State] = attrs.Factory(Counter)
    _followed: dict[str, _Followed] = attrs.field(init=False, factory=dict)

    def update(self, job: Job) -> Counter[str]:
        """Take in where `job` stands, and return what it grew by since it was seen last.

        What it has at first sight was counted in an earlier life.
        """
        followed = self._followed.get(job.id)
        if followed is None:
            if job.fully_delivered:
                return Counter()
            followed = self._follow(job)
        counts = _counts(job)
        growth = counts - followed.counted
        followed.counted |= counts
        self.totals += growth
        if job.state.over and not followed.over:
            followed.over = True
            self.ended[job.state] += 1
        if job.fully_delivered:
            del self._followed[job.id]
        return growth

    def poll(self) -> None:
        """Observe all that is followed, and note when their results came. For once a second."""
        seconds = self.seconds()
        for followed in list(self._followed.values()):
            self.update(followed.job)
            results = followed.job.results
            followed.backlog.update(seconds, results.valid, results.valid - results.pending)

    @property
    def open_jobs(self) -> list[Job]:
        """The jobs about which something can still change."""
        return [followed.job for followed in self._followed.values()]

    @property
    def in_flight(self) -> int:
        """Calls that have not returned and still may."""
        return sum(job.calls.in_flight for job in self.open_jobs if not job.state.over)

    @property
    def pending(self) -> int:
        """Results that wait for the collector."""
        return sum(job.results.pending for job in self.open_jobs)

    @property
    def lag_seconds(self) -> float:
        """How long the oldest pending result has waited, as of the last `look`."""
        oldest = [followed.backlog.oldest_seconds for followed in self._followed.values()]
        since = min((seconds for seconds in oldest if seconds is not None), default=None)
        return 0.0 if since is None else max(0.0, self.seconds() - since)

    def lag_bytes(self, log_bytes: Callable[[Job], int]) -> int:
        """Return how much of the logs delivery has before it; `log_bytes` says how long one is."""
        behind = [job for job in self.open_jobs if job.results.pending]
        return sum(max(0, log_bytes(job) - job.results.committed) for job in behind)

    def _follow(self, job: Job) -> _Followed:
        # When what an earlier life left pending came is not known: not before its job began.
        backlog = DeliveryLag()
        if job.results.pending and job.started_at is not None:
            settled = job.results.valid - job.results.pending
            age = max(0.0, (self.now() - job.started_at).total_seconds())
            backlog.update(self.seconds() - age, job.results.valid, settled)
        followed = _Followed(job, _counts(job), job.state.over, backlog)
        self._followed[job.id] = followed
        return followed


def _counts(job: Job) -> Counter[str]:
    calls, results = job.calls, job.results
    return Counter(
        calls_started=calls.started,
        calls_ok=calls.ok,
        calls_failed=calls.failed,
        results_read=results.read,
        results_valid=results.valid,
        results_invalid=results.invalid,
        results_delivered=results.delivered,
        results_rejected=results.rejected,
        results_abandoned=results.abandoned,
    )
