"""The open model: each arrival is started or dropped once, whatever happens in between."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goloagent.core.profile.load_profile import LoadProfile
from goloagent.core.profile.parser import constant, parse_load
from goloagent.core.profile.ramp import NS
from goloagent.load.arrival_rate import ArrivalRate

TICKS = st.lists(st.tuples(st.integers(0, NS), st.integers(0, 12)), max_size=60)


def profile(**load: Any) -> LoadProfile:
    """Return 100 arrivals in 10 s, and at most 10 in flight."""
    stages = [{"rate": 10, "duration": 10}]
    return parse_load({"start": 10, "stages": stages, "max_in_flight": 10, **load})


@given(TICKS, st.sampled_from(["drop", "wait"]), st.sampled_from(["even", "poisson"]))
def test_every_arrival_is_started_or_dropped(
    ticks: list[tuple[int, int]], when_full: str, arrivals: str
) -> None:
    """None before it is due, and none twice; no more in flight than allowed."""
    planned = profile(when_full=when_full, arrivals=arrivals)
    times = list(planned.arrival_times())
    executor, now, started = ArrivalRate(planned), 0, []
    for elapsed, in_flight in ticks:
        now += elapsed
        starts = executor.due(now, in_flight)
        assert len(starts) <= max(0, 10 - in_flight)
        assert all(at <= now for at in starts)
        started += starts
        assert executor.started == len(started)
        if when_full == "drop":
            assert executor.scheduled == sum(at <= now for at in times)
    executor.end(now)
    assert executor.scheduled == sum(at <= now for at in times)
    assert set(started) <= set(times)
    assert started == sorted(started)
    assert executor.next_at is None


def test_a_freeze_delays_what_waits() -> None:
    """With `wait` the arrivals of the freeze start late, each from when it was due."""
    executor = ArrivalRate(profile(when_full="wait"))
    assert len(executor.due(0, 0)) == 1
    assert executor.due(2 * NS, 10) == []
    assert executor.next_at == NS // 10
    assert executor.due(2 * NS, 0) == [number * NS // 10 for number in range(1, 11)]
    assert executor.due(2 * NS, 10) == []
    assert executor.due(2 * NS, 3) == [number * NS // 10 for number in range(11, 18)]


def test_a_freeze_drops_what_finds_no_place() -> None:
    """With `drop` they are counted, and the schedule goes on."""
    executor = ArrivalRate(profile(when_full="drop"))
    executor.due(0, 0)
    assert executor.due(2 * NS, 8) == [NS // 10, 2 * NS // 10]
    assert (executor.started, executor.dropped, executor.next_at) == (3, 18, 2 * NS + NS // 10)


@pytest.mark.parametrize("now", [0, 3 * NS, 10 * NS])
def test_the_rate_changes_while_it_runs(now: int) -> None:
    """Earlier decisions stay counted; later arrivals are the new profile's."""
    executor = ArrivalRate(profile())
    before = len(executor.due(now, 0)) + executor.dropped
    executor.replace(constant("rate", 100, 20), now)
    assert executor.next_at == now + NS // 100
    executor.due(20 * NS, 0)
    executor.end(20 * NS)
    assert executor.scheduled == before + 100 * (20 * NS - now) // NS - 1


@pytest.mark.parametrize(
    ("when_full", "arrivals"), [("drop", "even"), ("wait", "even"), ("wait", "poisson")]
)
def test_a_backlog_is_counted_while_it_grows(when_full: str, arrivals: str) -> None:
    """However many arrivals find no place, few steps are made at the end: none blocks the agent."""
    planned = parse_load(
        {
            "start": 1_000,
            "stages": [{"rate": 1_000, "duration": 100}],
            "max_in_flight": 1,
            "when_full": when_full,
            "arrivals": arrivals,
        }
    )
    executor, now = ArrivalRate(planned), 50 * NS
    assert len(executor.due(now, 0)) == 1
    assert executor.due(now, 1) == []
    steps = 0

    def count(frame: object, event: str, _: object) -> object:
        nonlocal steps
        steps += event == "call"
        return None

    sys.setprofile(count)
    executor.end(now)
    sys.setprofile(None)
    assert steps < 20
    assert executor.scheduled == sum(at <= now for at in planned.arrival_times())
    assert planned.arrivals == "poisson" or executor.scheduled == 50_001
