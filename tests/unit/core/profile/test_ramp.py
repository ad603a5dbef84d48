"""A ramp's value, its exact integral, and the inverse of that."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goloagent.core.profile.ramp import NS, UNIT, Ramp, Stage

LEVELS = st.integers(0, 3_000_000).map(lambda millionths: millionths / 1_000_000)
STAGES = st.lists(
    st.builds(Stage, LEVELS, st.sampled_from([0, 1e-9, 0.004, 0.7, 3, 20])), max_size=5
)


def integral(start: float, stages: list[Stage], at: int) -> Fraction:
    """Return the area below a ramp by the trapezoid of each stage, in exact fractions."""
    area, value, begin = Fraction(0), Fraction(round(start * 1e6), 10**6), Fraction(0)
    for stage in stages:
        target = Fraction(round(stage.target * 1e6), 10**6)
        length = Fraction(round(stage.seconds * NS), NS)
        into = min(max(Fraction(at, NS) - begin, Fraction(0)), length)
        if length:
            area += into * (value + value + (target - value) * into / length) / 2
        begin, value = begin + length, target
    return area


@given(LEVELS, STAGES, st.data())
def test_count_is_the_integral_rounded_up(
    start: float, stages: list[Stage], data: st.DataObject
) -> None:
    """As many arrivals are due before a time as whole units of the area have begun."""
    ramp = Ramp(start, stages)
    at = data.draw(st.integers(-1, ramp.end + 1))
    area = integral(start, stages, at)
    assert ramp.count(at) == -(-area.numerator // area.denominator)


@given(LEVELS, STAGES, st.data())
def test_time_of_inverts_count(start: float, stages: list[Stage], data: st.DataObject) -> None:
    """Arrival n is due before a time exactly if the count until then includes it."""
    ramp = Ramp(start, stages)
    number = data.draw(st.integers(0, ramp.count(ramp.end)))
    at = ramp.time_of(number * UNIT)
    assert ramp.count(at) <= number
    assert at == ramp.end or ramp.count(at + 1) > number


@pytest.mark.parametrize(
    ("seconds", "value"),
    [(-0.1, 0), (0, 10), (5, 55), (9.999999999, 100), (10, 20), (12, 20), (15, 0)],
)
def test_value(seconds: float, value: float) -> None:
    """A stage changes the value linearly, one of 0 s at once; outside of the stages it is 0."""
    ramp = Ramp(10, [Stage(100, 10), Stage(20, 0), Stage(20, 5)])
    assert ramp.value(round(seconds * NS)) == pytest.approx(value, abs=1e-6)
    assert (ramp.end, ramp.peak()) == (15 * NS, 100)


def test_a_pause_delays_the_next_arrival() -> None:
    """An arrival that falls on the start of a pause is due after it."""
    ramp = Ramp(1, [Stage(1, 2), Stage(0, 0), Stage(0, 5), Stage(1, 0), Stage(1, 2)])
    assert [ramp.time_of(n * UNIT) // NS for n in range(4)] == [0, 1, 7, 8]
    assert ramp.count(ramp.end) == 4
