"""The totals of a timeline, for a job whose counts were lost with the agent's process."""

from __future__ import annotations

import attrs

from goloagent.core.spans import Span, Spans
from goloagent.core.stats.hdr import decode
from goloagent.core.stats.histogram import Histogram
from goloagent.core.timeline import Window
from goloagent.jobs.job import CallCounts
from goloagent.wal.timeline_reader import TimelineReader


@attrs.frozen
class TimelineTotals:
    """The counts of all calls of a run, and when the load generator was the limit.

    Attributes:
        window: all windows as one, without percentiles.
        iteration: the times of all calls.
    """

    calls: CallCounts
    limited: tuple[Span, ...]
    window: Window
    iteration: Histogram


def add_up(reader: TimelineReader) -> TimelineTotals:
    """Read a timeline and return its totals, in a thread.

    Raises:
        OSError: it cannot be read.
    """
    calls, spans, iteration = CallCounts(), Spans(gap=0.1), Histogram()
    whole = Window(at=0.0, seconds=0.0)
    for window in reader.windows():
        if window.iteration.histogram:
            iteration.merge(decode(window.iteration.histogram))
        whole = Window(
            at=0.0,
            seconds=round(window.at + window.seconds, 3),
            succeeded=whole.succeeded + window.succeeded,
            failed=whole.failed + window.failed,
            dropped=whole.dropped + window.dropped,
            invalid=whole.invalid + window.invalid,
            in_flight=window.in_flight,
            max_in_flight=max(whole.max_in_flight, window.max_in_flight),
        )
        calls.started += window.started
        calls.dropped += window.dropped
        calls.ok += window.succeeded
        calls.failed += window.failed
        spans.add(window.limited, window.at, round(window.at + window.seconds, 3))
    return TimelineTotals(calls, tuple(spans.all), whole, iteration)
