"""The account of one output for one run: how its offset advances, and how results are given up.

The checkpoint is stored in the job's row: the committed offset in out.log, or time in the timeline,
and the counts of the results before it. Only the worker of the output changes it, through this
class, and saves the job after each change; at the next start the worker continues there. Pure.
"""

from __future__ import annotations

import attrs

from goloagent.core.output_schemes import COLLECTOR, SECOND
from goloagent.jobs.job import Checkpoint, Job, ResultCounts


@attrs.frozen
class Account:
    """The account of the results of `job` for an output, which the job has."""

    job: Job
    output: str = COLLECTOR

    @property
    def checkpoint(self) -> Checkpoint:
        """The checkpoint."""
        return self.job.checkpoint_of(self.output)

    @property
    def results(self) -> ResultCounts:
        """The counts now."""
        return self.job.account(self.output)

    @property
    def has_pending(self) -> bool:
        """Whether there is something to send, or will be while the job is not over."""
        return self.job.has_pending(self.output)

    def advance(self, end: int, delivered: int = 0, rejected: int = 0) -> None:
        """Commit the results up to `end`, of which a number was delivered or rejected.

        A log that another program changed may have more results than were counted; these do not
        count.
        """
        checkpoint = self.checkpoint
        checkpoint.delivered += min(delivered, self.results.pending)
        checkpoint.rejected += min(rejected, self.results.pending)
        checkpoint.committed = end

    def abandon(self) -> int:
        """Give up all that is pending; return the number of results."""
        pending, checkpoint = self.results.pending, self.checkpoint
        checkpoint.abandoned += pending
        if checkpoint.unit == SECOND:
            checkpoint.finished = self.job.state.over
        else:
            checkpoint.committed = max(checkpoint.committed, self.job.verified_range.stop)
        return pending

    def missing(self) -> int:
        """Return the number of results that were counted and are no longer in the log.

        It is known at the end of the counted lines, where nothing can be pending.
        """
        results = self.results
        return results.pending if results.committed >= self.job.verified_range.stop else 0
