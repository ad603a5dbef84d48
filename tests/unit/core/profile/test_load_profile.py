"""Load profiles: users, arrivals, shares of a fleet, and what a job may ask for."""

from __future__ import annotations

from collections import Counter
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goloagent.core.profile.load_profile import LoadProfile, Share
from goloagent.core.profile.parser import InvalidProfile, constant, parse_load
from goloagent.core.profile.ramp import NS

UP_AND_DOWN = {"stages": [{"rate": 200, "duration": 2}, {"rate": 0, "duration": "3s"}]}


def part(profile: LoadProfile, index: int, of: int) -> LoadProfile:
    """Return one agent's share of a profile."""
    return attrs.evolve(profile, share=Share(index, of))


def test_a_constant_rate_is_exact() -> None:
    """500/s for 20 s are 10,000 arrivals, 2 ms apart, the first at once."""
    profile = constant("rate", 500, "20s")
    times = list(profile.arrival_times())
    assert len(times) == profile.scheduled(20 * NS) == 10_000
    assert times == [number * NS // 500 for number in range(10_000)]


@pytest.mark.parametrize("arrivals", ["even", "poisson"])
@pytest.mark.parametrize("of", [1, 2, 7])
def test_shares_together_are_the_whole_schedule(arrivals: str, of: int) -> None:
    """Agents take turns, so that each arrival is one agent's."""
    whole = parse_load({**UP_AND_DOWN, "arrivals": arrivals})
    parts = [list(part(whole, index, of).arrival_times()) for index in range(of)]
    assert sorted(time for times in parts for time in times) == list(whole.arrival_times())
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@given(st.integers(0, 5 * NS), st.integers(1, 9))
def test_scheduled_counts_the_arrivals(at: int, of: int) -> None:
    """The count of any share at any time is that of its arrivals before it."""
    whole = parse_load(UP_AND_DOWN)
    for index in range(of):
        share = part(whole, index, of)
        assert share.scheduled(at) == sum(time < at for time in share.arrival_times())


def test_poisson_arrivals_are_as_dispersed_as_they_should_be() -> None:
    """Counts of 10 ms windows have their mean as variance; an even schedule's have none."""
    times = parse_load(
        {"start": 1000, "stages": [{"rate": 1000, "duration": 100}], "arrivals": "poisson"}
    ).arrival_times()
    windows = Counter(time // (NS // 100) for time in times)
    counts = [windows[window] for window in range(10_000)]
    mean = sum(counts) / len(counts)
    variance = sum((count - mean) ** 2 for count in counts) / len(counts)
    assert mean == pytest.approx(10, rel=0.02)
    assert variance / mean == pytest.approx(1, abs=0.05)
    # The counts of 100 seconds pass a chi-square test at 1 %, with 100 degrees of freedom.
    seconds = Counter(
        time // NS
        for time in parse_load(
            {"start": 1000, "stages": [{"rate": 1000, "duration": 100}], "arrivals": "poisson"}
        ).arrival_times()
    )
    assert 67.3 < sum((seconds[second] - 1000) ** 2 / 1000 for second in range(100)) < 140.2


@given(st.integers(0, 100), st.integers(1, 7), st.integers(0, 10 * NS))
def test_users_are_divided_without_a_rest(peak: int, of: int, at: int) -> None:
    """The users of all agents are those of the profile, at any time."""
    whole = parse_load({"stages": [{"users": peak, "duration": 10}]})
    assert sum(part(whole, index, of).users(at) for index in range(of)) == whole.users(at)


def test_users_follow_the_stages() -> None:
    """A ramp from 0 has half of its users at half of its time."""
    whole = parse_load(
        {
            "stages": [
                {"users": 100, "duration": 10},
                {"users": 5, "duration": 0},
                {"users": 5, "duration": 1},
            ]
        }
    )
    assert [whole.users(round(s * NS)) for s in (0, 5, 9.999, 10, 10.5, 11)] == [
        0,
        50,
        100,
        5,
        5,
        0,
    ]
    assert (whole.model, whole.seconds) == ("closed", 11)


STAGE = {"rate": 1, "duration": 1}


@pytest.mark.parametrize(
    ("load", "sentence"),
    [
        ({}, 'load.stages must be a list such as [{"rate": 100, "duration": 60}]'),
        ({"stages": []}, 'load.stages must be a list such as [{"rate": 100, "duration": 60}]'),
        ({"stages": "no"}, 'load.stages must be a list such as [{"rate": 100, "duration": 60}]'),
        ({"stages": [STAGE] * 1001}, "load.stages has 1001 stages: at most 1000 are allowed"),
        ({"stages": [1]}, 'load.stages[0] must be an object such as {"rate": 100, "duration": 60}'),
        ({"stages": [{"duration": 1}]}, "load.stages[0] needs either rate or users"),
        ({"stages": [{**STAGE, "users": 1}]}, "load.stages[0] needs either rate or users"),
        (
            {"stages": [STAGE, {"users": 1, "duration": 1}]},
            "load.stages[1] has users and the stages before it have rate: use one of them",
        ),
        (
            {"stages": [{**STAGE, "target": 1}]},
            "load.stages[0].target is not known: use rate or users, duration",
        ),
        (
            {"stages": [{"rate": -1, "duration": 1}]},
            "load.stages[0].rate is -1: 0 to 1000000 is allowed",
        ),
        (
            {"stages": [{"rate": "1", "duration": 1}]},
            "load.stages[0].rate must be a number from 0 to 1000000",
        ),
        (
            {"stages": [{"rate": True, "duration": 1}]},
            "load.stages[0].rate must be a number from 0 to 1000000",
        ),
        (
            {"stages": [{"rate": float("nan"), "duration": 1}]},
            "load.stages[0].rate is nan: 0 to 1000000 is allowed",
        ),
        ({"stages": [{"rate": 1}]}, "load.stages[0].duration must be a number from 0 to 604800"),
        (
            {"stages": [{"rate": 1, "duration": "soon"}]},
            'load.stages[0].duration: "soon" is not a duration: '
            "write seconds, or 250ms, 90s, 1h30m",
        ),
        (
            {"stages": [{"rate": 1, "duration": 0}]},
            "load.stages last 0 s: more than 0 and at most 604800 s are allowed",
        ),
        ({"stages": [STAGE], "start": -1}, "load.start is -1: 0 to 1000000 is allowed"),
        ({"stages": [STAGE], "arrivals": "burst"}, "load.arrivals must be one of: even, poisson"),
        ({"stages": [STAGE], "when_full": None}, "load.when_full must be one of: drop, wait"),
        (
            {"stages": [STAGE], "max_in_flight": 0},
            "load.max_in_flight must be a whole number from 1 to 100000",
        ),
        (
            {"stages": [STAGE], "graceful_stop": "2h"},
            "load.graceful_stop is 7200: 0 to 3600 is allowed",
        ),
        (
            {"stages": [STAGE], "max_vus": 9},
            "load.max_vus is not known: use stages, start, arrivals, max_in_flight, when_full, "
            "graceful_stop, seed",
        ),
        (
            {"stages": [{"users": 1, "duration": 1}], "when_full": "drop"},
            "load.when_full applies to stages with rate only: remove it",
        ),
    ],
)
def test_an_invalid_profile_has_its_sentence(load: dict[str, Any], sentence: str) -> None:
    """The message names the member and what is allowed."""
    with pytest.raises(InvalidProfile) as refusal:
        parse_load(load)
    assert str(refusal.value) == sentence
