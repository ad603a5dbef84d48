"""The windows, the progress and the changes that a run measures each second."""

from __future__ import annotations

from datetime import timedelta

import pytest
from msgspec import UNSET
from unit.runs.one_run import NOW, OneRun

from goloagent.core.spans import Span
from goloagent.core.stats.hdr import decode
from goloagent.runs.steering import ChangeRequest
from goloagent.runs.transitions import Phase
from goloagent.sandbox.cpu_use import CpuUse

RESULT = b'{"timestamp":"2026-01-02T03:04:05Z","status":%d,"duration":%d}\n'


def driven(users: int = 3, duration_seconds: int = 10) -> OneRun:
    """Return a run under load."""
    return OneRun(users, duration_seconds).come_to(Phase.RUNNING)


def test_a_window_for_each_second() -> None:
    """Windows follow each other from the start of the load, and their sums are the totals."""
    one = driven()
    for _ in range(5):
        one.clock.advance(0.5)
        one.answer(2)
        one.answer(1, "refused")
        one.watching.stdout(RESULT % (200, 10**6) + RESULT % (500, 3 * 10**6) + b"no result\n")
        one.clock.advance(0.5)
    one.clock.pump([0.5] * 10)
    one.answer(2)
    one.clock.pump([0.5, 0.5, 0.25])
    one.exit()
    one.close()
    windows = one.timeline.windows
    assert [window.at for window in windows] == [*range(len(windows))]
    assert [window.seconds for window in windows[:-1]] == [1] * (len(windows) - 1)
    first = windows[0]
    assert (first.planned, first.started, first.succeeded, first.failed) == (3, 6, 2, 1)
    assert (first.in_flight, first.max_in_flight) == (3, 3)
    assert (first.results, first.errors, first.invalid) == (2, 1, 1)
    assert first.iteration.max == 500_000_000
    assert first.duration.max == 3_000_000
    calls = one.job.calls
    assert sum(window.started for window in windows) == calls.started
    assert sum(window.succeeded for window in windows) == calls.ok
    assert sum(window.failed for window in windows) == calls.failed
    assert sum(window.results for window in windows) == one.job.results.valid == 10
    assert windows[-1].planned == 0
    assert one.timeline.is_closed
    assert [second.window for second in one.seconds] == windows
    assert sum(second.results.durations.count for second in one.seconds) == 10
    assert sum(second.calls.iteration.count for second in one.seconds) == calls.ok + calls.failed


def test_progress() -> None:
    """Each second has its rates and latencies, and the run's totals."""
    one = driven()
    one.answer(2)
    one.answer(1, "refused")
    one.watching.stdout(
        RESULT % (200, 10**9) + RESULT % (500, 2 * 10**9) + RESULT % (200, 3 * 10**9)
    )
    one.clock.advance(1)
    one.clock.advance(1)
    first, second = one.progress
    assert (first.time, second.time) == (NOW + timedelta(seconds=1), NOW + timedelta(seconds=2))
    assert (first.at, second.at, first.planned) == (0, 1, 3)
    assert (first.calls_per_second, second.calls_per_second) == (3, 0)
    assert (first.failed_per_second, first.failed, second.failed) == (1, 1, 1)
    assert (first.results_per_second, second.results_per_second) == (3, 0)
    assert (first.errors_per_second, second.errors_per_second) == (1, 0)
    assert (first.errors, second.errors, first.in_flight, first.pending) == (1, 1, 3, 3)
    assert first.latency == first.latency_total == second.latency_total
    assert first.latency.max == 3
    assert first.latency.p50 == pytest.approx(2, rel=0.001)
    assert (second.latency.p50, second.iteration.max) == (None, None)
    assert first.iteration.max == 0


def test_progress_has_the_histograms_of_its_second() -> None:
    """A client can merge those of several agents; a second without values has none."""
    one = driven()
    one.answer(2)
    one.watching.stdout(RESULT % (200, 10**9) + RESULT % (500, 2 * 10**9))
    one.clock.advance(1)
    one.clock.advance(1)
    first, second = one.detailed
    for latency, expected in ((first.latency, 1.5 * 10**9), (first.iteration, 0)):
        assert isinstance(latency.histogram, str)
        histogram = decode(latency.histogram)
        assert histogram.count == 2
        assert histogram.total / 2 == pytest.approx(expected, rel=0.001)
    assert (second.latency.histogram, second.iteration.histogram) == (UNSET, UNSET)
    assert one.progress[0].latency.histogram is UNSET


def test_a_late_second() -> None:
    """A window is as long as it was, and the next one ends at a whole second again."""
    one = driven()
    one.clock.advance(3.25)
    one.clock.advance(0.75)
    assert [(window.at, window.seconds) for window in one.timeline.windows] == [
        (0, 3.25),
        (3.25, 0.75),
    ]


def test_a_change_is_stored_and_published() -> None:
    """It has its place on the time axis."""
    one = driven()
    one.clock.advance(1.5)
    one.run.change(ChangeRequest(users=5))
    one.clock.advance(0.5)
    assert one.timeline.changes == [{"at": 1.5, "users": 5}]
    assert [kind for kind, _ in one.events if kind == "change"] == ["change"]
    assert (one.timeline.windows[1].planned, one.calls.started) == (5, 5)


def test_failed_calls_are_errors_with_reasons() -> None:
    """They are grouped in the statistics."""
    one = driven()
    one.answer(3, "refused")
    ((key, count),) = one.run.statistics.errors.top()
    assert (key.message, count) == ("refused", 3)
    assert one.job.errors == ()
    one.clock.advance(1)
    (error,) = one.job.errors
    assert (error.message, error.count) == ("refused", 3)


def test_a_run_without_load_has_no_timeline() -> None:
    """Nothing is measured before the load begins."""
    one = OneRun().come_to(Phase.CONNECTING)
    one.clock.advance(5)
    assert (one.timeline.windows, one.progress) == ([], [])


def test_a_load_test_that_was_the_limit() -> None:
    """The seconds in which it used a CPU are in the timeline, and one span of the job."""
    one = driven()
    for use in (CpuUse(), CpuUse(thread=1), CpuUse(share=1), CpuUse(thread=0.5)):
        one.cpu = use
        one.clock.pump([0.0625] * 16)
    assert [window.limited for window in one.timeline.windows] == [
        (),
        ("loadtest-cpu",),
        ("loadtest-cpu",),
        (),
    ]
    assert one.job.limited == (Span("loadtest-cpu", 1, 3),)
