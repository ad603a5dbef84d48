"""Counts the results of a log again, for a job that a previous process of the agent left."""

from __future__ import annotations

from collections.abc import Iterator

from goloagent.core.stats.error_groups import TOP
from goloagent.core.stats.run_stats import RunStatistics
from goloagent.core.stats.summary import ErrorSummary
from goloagent.jobs.job import TOP_ERRORS, InvalidLine, Job
from goloagent.results.line_counter import LineCounter
from goloagent.wal.run_log import RunLogReader

_BLOCK_BYTES = 1024 * 1024
_NO_END = 2**63


def merged_errors(job: Job, counted: RunStatistics) -> tuple[ErrorSummary, ...]:
    """Return the errors of a job with those of its calls, which the log does not have."""
    every = [*job.errors, *counted.top_errors(TOP)]
    groups = {(error.message, error.method, error.url, error.status): error for error in every}
    return tuple(sorted(groups.values(), key=lambda error: -error.count)[:TOP_ERRORS])


def first_invalid(done: LineCounter, pending: LineCounter) -> InvalidLine | None:
    """Return the first invalid line of a log that two counters have counted in order."""
    for counter, lines in ((done, 0), (pending, done.read)):
        if (line := counter.first_invalid) is not None:
            return InvalidLine(lines + line.number, line.reason, line.text)
    return None


def count_lines(
    log: RunLogReader, committed: int, done: LineCounter, pending: LineCounter
) -> Iterator[bool]:
    """Feed the log to the counters, up to `committed` and from there on.

    Blocks: it runs in a worker thread, and yields after each block so that other work gets a turn.
    """
    # Data written just before a kill may not be on the disk yet.
    log.sync()
    for counter, start, end in ((done, 0, committed), (pending, committed, _NO_END)):
        offset = start
        while block := log.read(offset, min(_BLOCK_BYTES, end - offset)):
            counter.feed(block)
            offset += len(block)
            if len(block) == _BLOCK_BYTES:
                yield True
        counter.close()
