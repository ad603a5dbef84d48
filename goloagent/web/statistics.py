"""What a job's results say of the target, over HTTP."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import attrs
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from goloagent.jobs.job import Job
from goloagent.jobs.store import Store
from goloagent.results.runlog import LogPathError
from goloagent.statistics.run import RunStatistics
from goloagent.statistics.summary import Summary
from goloagent.web.operation import Reply, operation
from goloagent.web.problem import Problem, not_found
from goloagent.web.request import Request

# Some 5 ms of work.
ROWS_PER_TURN = 50


@attrs.frozen
class StatisticsRoutes:
    """``/jobs/<id>/stats``.

    Args:
        running: returns the statistics of the job while it runs.
        past: returns the statistics of a job that is over, or raises what `Archive` does.
    """

    store: Store
    running: Callable[[Job], RunStatistics | None]
    past: Callable[[Job], Awaitable[Summary]]
    clock: IReactorTime

    @operation(
        "GET",
        "/jobs/<job_id>/stats",
        {200: Reply("Latency in seconds, by method, URL and status too.", Summary)},
        errors={404: "There is no such job, or it has no log any more."},
    )
    async def get_stats(self, request: Request, job_id: str) -> bytes:
        """Show what a job's results say, up to now or to its end."""
        job = self.store.get(job_id)
        if job is None:
            raise not_found(request.path)
        return request.answer(200, await self._summary(job))

    async def _summary(self, job: Job) -> Summary:
        statistics = None if job.state.over else self.running(job)
        if statistics is not None:
            return await self._in_turns(statistics)
        if not job.state.over or job.started_at is None:
            return RunStatistics().summary()
        if not job.logged:
            raise Problem(404, f"job {job.id} has no log, or has it no more")
        try:
            return await self.past(job)
        except FileNotFoundError:
            raise Problem(404, f"the log of job {job.id} is gone") from None
        except LogPathError as error:
            raise Problem(404, f"job {job.id} has no log: {error}") from None

    async def _in_turns(self, statistics: RunStatistics) -> Summary:
        """Summarise the running job without holding it up."""
        for turn, summary in enumerate(statistics.in_turns(), start=1):
            if summary is not None:
                return summary
            if turn % ROWS_PER_TURN == 0:
                await deferLater(self.clock, 0.0)
        raise AssertionError("turns end with a summary")
