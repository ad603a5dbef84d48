"""What is left of the agent's earlier life: jobs that were running, results not delivered.

A job that was running is over, and is never run again by itself; the lines in its log are counted
anew.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from twisted.logger import Logger

from goloagent.jobs import outcome
from goloagent.jobs.job import Job, State
from goloagent.jobs.store import Store
from goloagent.results.runlog import LogPathError, LogReader
from goloagent.results.tally import Tally
from goloagent.run import Results

_BLOCK_BYTES = 1024 * 1024
_log = Logger()


def recover(
    store: Store,
    open_log: Callable[[Job], LogReader],
    results: Results,
    now: Callable[[], datetime],
) -> None:
    """Settle what was running and hand logs with pending results on; leave the queue."""
    for job in store.unsettled():
        if job.state is State.QUEUED:
            continue
        try:
            if not job.state.over:
                _interrupt(job, open_log, now)
                store.save(job)
            if job.results.pending:
                results.begin(job)
                results.end(job)
        except (OSError, LogPathError) as error:
            _log.error("the log of job {id} cannot be read: {error}", id=job.id, error=error)


def _interrupt(job: Job, open_log: Callable[[Job], LogReader], now: Callable[[], datetime]) -> None:
    job.state, job.cause, job.ended_at = State.INTERRUPTED, outcome.AGENT_RESTART, now()
    if not job.logged:
        return
    tally, log, offset = Tally(), open_log(job), 0
    try:
        while block := log.read(offset, _BLOCK_BYTES):
            tally.feed(block)
            offset += len(block)
    finally:
        log.close()
    tally.close()
    job.results.read, job.results.invalid = tally.read, tally.invalid
