"""The checkpoint of an output for one run: how its offset advances, and how results are given up.

It is stored in the job's row: the committed offset in out.log, and the counts of the results before
that offset. Only the worker of the output changes it, by these functions, and saves the job after
each change; at the next start the worker continues at the offset. Pure.
"""

from __future__ import annotations

from goloagent.jobs.job import Job


def advance(job: Job, end: int, delivered: int = 0, rejected: int = 0) -> None:
    """Commit the results up to byte `end`, of which a number was delivered or rejected.

    A log that another program changed may have more results than were counted; these do not count.
    """
    checkpoint = job.checkpoint
    checkpoint.delivered += min(delivered, job.results.pending)
    checkpoint.rejected += min(rejected, job.results.pending)
    checkpoint.committed = end


def abandon(job: Job) -> int:
    """Give up all pending results; return their number."""
    pending, checkpoint = job.results.pending, job.checkpoint
    checkpoint.abandoned += pending
    checkpoint.committed = max(checkpoint.committed, job.verified_range.stop)
    return pending


def missing(job: Job) -> int:
    """Return the number of results that were counted and are no longer in the log.

    It is known at the end of the counted lines, where nothing can be pending.
    """
    results = job.results
    return results.pending if results.committed >= job.verified_range.stop else 0
