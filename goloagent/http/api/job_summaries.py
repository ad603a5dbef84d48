"""The summaries of jobs that wait, run or are over."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator

import attrs
from twisted.internet.interfaces import IReactorTime

from goloagent.concurrency.cooperation import cooperate
from goloagent.core.stats.run_stats import RunStatistics
from goloagent.core.stats.summary import Summary
from goloagent.http.problem import Problem
from goloagent.jobs.job import Job
from goloagent.wal.run_directory import LogPathError


@attrs.frozen
class JobSummaries:
    """Finds summaries.

    Args:
        running: returns the statistics of a running job.
        finished: returns the summary of a job that is over, with histograms, or raises as
            `SummaryCache.get`.
    """

    running: Callable[[Job], RunStatistics | None]
    finished: Callable[[Job], Awaitable[Summary]]
    clock: IReactorTime

    async def of(self, job: Job, histograms: bool) -> Summary:
        """Return the summary of a job; one that is over has histograms in any case.

        Raises:
            Problem: its log is gone.
        """
        statistics = None if job.state.over else self.running(job)
        if statistics is not None:
            return await self._summarize(statistics, histograms)
        if not job.state.over or job.started_at is None:
            return RunStatistics().summary()
        if not job.has_log:
            raise Problem(404, f"job {job.id} has no log: never started, or removed by retention")
        try:
            return await self.finished(job)
        except FileNotFoundError:
            raise Problem(404, f"the log of job {job.id} is gone") from None
        except LogPathError as error:
            raise Problem(404, f"job {job.id} has no log: {error}") from None

    async def _summarize(self, statistics: RunStatistics, histograms: bool) -> Summary:
        """Summarize the running job in turns."""
        summaries: list[Summary] = []

        def steps() -> Iterator[None]:
            for summary in statistics.iter_summary(histograms):
                if summary is not None:
                    summaries.append(summary)
                yield

        await cooperate(self.clock, steps())
        return summaries[0]
