"""Changes of a running job's load."""

from __future__ import annotations

import pytest

from goloagent.core.profile.parser import InvalidProfile, constant, parse_load
from goloagent.core.profile.ramp import NS
from goloagent.runs.steering import (
    MAX_CHANGES,
    Change,
    ChangeRequest,
    ImpossibleChange,
    InvalidChange,
    Steering,
)

RAMP = parse_load({"stages": [{"rate": 100, "duration": 10}, {"rate": 0, "duration": 10}]})


def test_a_level_replaces_the_stages_to_come() -> None:
    """The duration stays."""
    steering = Steering(RAMP)
    assert steering.change(ChangeRequest(rate=40), 5 * NS) == Change(at=5, rate=40)
    profile = steering.profile(5 * NS)
    assert [profile.rate(second * NS) for second in (5, 10, 19, 20)] == [40, 40, 40, 0]
    assert profile.seconds == 20


def test_a_pause_and_what_is_changed_in_it() -> None:
    """After the pause the plan is where it would have been."""
    steering = Steering(RAMP)
    steering.change(ChangeRequest(paused=True), 2 * NS)
    assert steering.profile(2 * NS).rate(3 * NS) == 0
    assert list(steering.profile(2 * NS).arrival_times(2 * NS)) == []
    steering.change(ChangeRequest(paused=False), 5 * NS)
    assert steering.profile(5 * NS).rate(6 * NS) == 60
    steering.change(ChangeRequest(paused=True, rate=7), 6 * NS)
    assert steering.profile(6 * NS).rate(7 * NS) == 0
    steering.change(ChangeRequest(paused=False), 8 * NS)
    assert steering.profile(8 * NS).rate(9 * NS) == 7


@pytest.mark.parametrize(
    ("duration", "seconds", "rates"),
    [("1m", 60, [100, 50, 0, 0]), (12, 12, [100, 0, 0, 0]), (3, 6, [0, 0, 0, 0])],
)
def test_another_duration(duration: object, seconds: float, rates: list[float]) -> None:
    """The last value holds for a longer one; what is over is over."""
    steering = Steering(RAMP)
    steering.change(ChangeRequest(duration=duration), 6 * NS)  # type: ignore[arg-type]
    profile = steering.profile(6 * NS)
    assert profile.seconds == seconds
    assert [profile.rate(second * NS) for second in (10, 15, 25, 59)] == pytest.approx(rates)


def test_more_time_at_the_same_level() -> None:
    """A constant load goes on."""
    steering = Steering(constant("users", 25, 10))
    steering.change(ChangeRequest(duration=30), NS)
    assert steering.profile(NS).users(29 * NS) == 25


@pytest.mark.parametrize(
    ("request_", "sentence"),
    [
        (ChangeRequest(), "give rate, paused or duration"),
        (ChangeRequest(users=3), "this job has rate, not users: give rate"),
        (ChangeRequest(duration="soon"), "duration: "),
        (ChangeRequest(rate=3, duration=10**9), "duration is 1000000000: 0 to 604800 is allowed"),
    ],
)
def test_a_change_that_does_not_fit(request_: ChangeRequest, sentence: str) -> None:
    """It changes nothing."""
    steering = Steering(RAMP)
    with pytest.raises(InvalidChange, match=f"^{sentence.replace('+', '.')}"):
        steering.change(request_, NS)
    assert steering.planned is RAMP


def test_changes_are_bounded() -> None:
    """Each is stored in the timeline."""
    steering = Steering(RAMP)
    for _ in range(MAX_CHANGES):
        steering.change(ChangeRequest(paused=False), NS)
    with pytest.raises(ImpossibleChange):
        steering.change(ChangeRequest(paused=False), NS)


def test_a_change_after_the_end() -> None:
    """Nothing follows, also of a change that comes in the moment of the end."""
    steering = Steering(RAMP)
    steering.change(ChangeRequest(rate=5), 21 * NS)
    profile = steering.profile(21 * NS)
    assert list(profile.arrival_times(21 * NS)) == []
    assert profile.rate(22 * NS) == 0


def test_poisson_arrivals_have_their_own_bound() -> None:
    """Each one is drawn, so that a change too cannot make more than the agent can draw."""
    load = {"stages": [{"rate": 10, "duration": 10}], "arrivals": "poisson"}
    with pytest.raises(InvalidChange, match="poisson arrivals of 200000/s: at most 100,000"):
        Steering(parse_load(load)).change(ChangeRequest(rate=200_000), NS)
    with pytest.raises(InvalidProfile, match="at most 100,000"):
        parse_load({**load, "start": 100_001})
