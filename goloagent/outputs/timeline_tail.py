"""Windows of the results at the end of a log that the timeline of the run does not have. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from goloagent.core.record import Record
from goloagent.core.stats.result_windows import ResultWindows
from goloagent.core.timeline import Window
from goloagent.jobs.job import Job
from goloagent.outputs.source import RunSource
from goloagent.results.line_counter import LineCounter

_BLOCK_BYTES = 64 * 1024


def tail_windows(
    job: Job, log: RunSource, start: datetime, begin: float, known: int
) -> Iterator[Window | None]:
    """Yield windows of a log's results, and None after each step of some milliseconds.

    Args:
        start: of the load.
        begin: when the first window begins, in seconds from the start.
        known: the number of results that are skipped, because earlier windows have them.
    """
    until = float("inf") if job.ended_at is None else (job.ended_at - start).total_seconds()
    windows = ResultWindows(start, begin, until)
    found: list[Record] = []
    counter = LineCounter(observe=found.extend)
    stop, offset, skipped = job.verified_range.stop, 0, 0
    while block := log.read(offset, min(_BLOCK_BYTES, stop - offset)):
        offset += len(block)
        yield from counter.feed_steps(block)
        if offset == stop:
            yield from counter.close_steps()
        skip = min(len(found), known - skipped)
        skipped += skip
        yield from windows.add(found[skip:])
        found.clear()
        yield None
    yield from windows.close()
