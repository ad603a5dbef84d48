"""Unusual runs, whose windows an output of metrics still gets each once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from unit.outputs.test_seconds_feed import START, Run, assert_complete

from goloagent.core.timeline import Window
from goloagent.wal.timeline_file import TimelineFile

# A tenth of those of an hour, which is the limit of a real timeline.
MAX_WINDOWS = 360
HOURS = 2 * MAX_WINDOWS + 50


def at_once(function: Callable[..., Any], *args: Any) -> Deferred[Any]:
    """Run what a thread would, without its pauses."""
    return maybeDeferred(function, *args, lambda _: None)


def test_a_run_of_hours(tmp_path: Path) -> None:
    """Its timeline is thinned again and again; an output that follows it misses nothing."""
    run = Run(tmp_path)
    assert run.timeline is not None
    run.timeline.close()
    run.timeline = TimelineFile((tmp_path, "shop", run.job.id), START, at_once, MAX_WINDOWS)
    for second in range(HOURS):
        run.second(second % 3)
        if second % 5 == 0:
            run.drain()
    windows = run.path.read_bytes().count(b'"window"')
    assert windows < MAX_WINDOWS
    run.end()
    run.drain()
    assert_complete(run)
    # A thinning merges the last windows too, which were not sent.
    assert len(run.samples) > HOURS - 50
    assert max(run.samples) == HOURS * 1000
    run.close()


def test_an_outage_of_hours(tmp_path: Path) -> None:
    """An output that was away gets fewer, longer windows of the beginning, with the same totals."""
    run = Run(tmp_path)
    assert run.timeline is not None
    run.timeline.close()
    run.timeline = TimelineFile((tmp_path, "shop", run.job.id), START, at_once, MAX_WINDOWS)
    run.second(2)
    assert run.send()
    for second in range(HOURS):
        run.second(second % 3)
    run.end()
    run.drain()
    assert_complete(run)
    assert len(run.samples) < MAX_WINDOWS
    ends = sorted(run.samples)
    lengths = {after - before for before, after in pairwise(ends)}
    assert min(lengths) == 1000
    assert max(lengths) <= 8000
    # Each total is that of all results up to its time.
    for end in ends[:: len(ends) // 20]:
        seconds = end // 1000
        assert run.samples[end].results == 2 + sum(second % 3 for second in range(seconds - 1))
    run.close()


def test_a_run_of_no_length(tmp_path: Path) -> None:
    """A load of 0 seconds has one sample after the zero at its start."""
    run = Run(tmp_path)
    run.second(3, length=0.0)
    run.end()
    assert run.send()
    (batch,) = run.sent
    assert (batch.first, batch.end, batch.is_first, batch.is_last) == (0, 1, True, True)
    assert_complete(run)
    run.close()


def test_a_clock_that_was_set_back(tmp_path: Path) -> None:
    """A run that ends before it began, by the clock, is delivered in order."""
    run = Run(tmp_path)
    run.second(4)
    run.print(5)
    run.end(closed=False)
    run.job.ended_at = START - timedelta(hours=1)
    run.drain()
    assert sorted(run.samples) == [1000, 2000]
    assert_complete(run)
    run.close()


def test_a_run_that_was_steered(tmp_path: Path) -> None:
    """A run that was steered and paused has windows with another plan, and some without calls."""
    run = Run(tmp_path)
    assert run.timeline is not None
    run.second(4)
    run.timeline.note({"at": 1.0, "rate": 50})
    run.timeline.append(Window(1.0, 1.0, planned=50.0))
    run.timeline.note({"at": 1.5, "paused": True})
    run.timeline.append(Window(2.0, 1.0, planned=0.0))
    run.ended_at = 3.0
    run.end()
    run.drain()
    seconds = [second for batch in run.sent for second in batch.seconds]
    assert [(second.end, second.window.planned) for second in seconds] == [
        (1000, 0.0),
        (2000, 50.0),
        (3000, 0.0),
    ]
    assert_complete(run)
    run.close()


def test_a_program_that_is_not_driven(tmp_path: Path) -> None:
    """Its windows have results and no calls."""
    run = Run(tmp_path)
    assert run.timeline is not None
    run.print(7)
    run.timeline.append(Window(0.0, 1.0, results=7))
    run.ended_at = 1.0
    run.end()
    run.drain()
    totals = run.samples[1000]
    assert (totals.results, totals.started, totals.iteration.count) == (7, 0, 0)
    assert run.job.results.pending == 0
    run.close()
