"""A piecewise linear function of time and its exact integral."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence

import attrs

NS = 1_000_000_000
# Values are stored as whole millionths. Twice the area below a ramp is then a whole number of
# millionths times nanoseconds; so much of it is one unit of the value during one second.
_MILLION = 1_000_000
UNIT = 2 * _MILLION * NS


@attrs.frozen
class Stage:
    """Change the value linearly to `target` during `seconds`; 0 seconds is a jump."""

    target: float
    seconds: float


@attrs.frozen
class _Segment:
    """A line from `first` to `last`, in millionths, after `begin` for `length` nanoseconds.

    Attributes:
        area: twice the area below the ramp before this segment.
    """

    begin: int
    length: int
    first: int
    last: int
    area: int

    @property
    def slope(self) -> int:
        """The difference of the values, which is reached after `length`."""
        return self.last - self.first


class Ramp:
    """A value over time: `start`, then the stages one after the other; 0 outside of them.

    Without any duration the value is `start` at 0.

    Args:
        start: the value before the first stage, at least 0; resolved to a millionth.
        stages: at least one, of targets of at least 0; resolved to a millionth and a nanosecond.
    """

    def __init__(self, start: float, stages: Sequence[Stage]) -> None:
        self._segments: list[_Segment] = []
        self.start = start
        self.stages = tuple(stages)
        value, begin, area = round(start * _MILLION), 0, 0
        for stage in stages:
            first, value = value, round(stage.target * _MILLION)
            length = round(stage.seconds * NS)
            if length:
                self._segments.append(_Segment(begin, length, first, value, area))
                begin += length
                area += (first + value) * length
        self.end = begin
        self._area = area
        self._begins = [segment.begin for segment in self._segments]
        self._areas = [segment.area for segment in self._segments]

    def value(self, at: int) -> float:
        """Return the value at a time; at a jump, the one after it."""
        if not 0 <= at < self.end:
            return 0.0 if at or self.end else self.start
        segment = self._segments[bisect_right(self._begins, at) - 1]
        into = (at - segment.begin) / segment.length
        return (segment.first + segment.slope * into) / _MILLION

    def count(self, at: int) -> int:
        """Return how many whole units of the area begin before a time.

        They are the arrivals that are due before it, if the value is a rate: the first when the
        area starts to grow, each further one when the area has grown by one unit.
        """
        if at <= 0 or not self._segments:
            return 0
        segment = self._segments[bisect_right(self._begins, min(at, self.end) - 1) - 1]
        into, length = min(at, self.end) - segment.begin, segment.length
        # All terms are multiplied by the length, because the quadratic one is divided by it.
        area = segment.area * length + (2 * segment.first * length + segment.slope * into) * into
        return -(-area // (UNIT * length))

    def time_of(self, area: int) -> int:
        """Return the last time at which the area is at most `area`, in parts of `UNIT`.

        It is the end of the ramp if the area never grows beyond that.
        """
        if area >= self._area:
            return self.end
        segment = self._segments[bisect_right(self._areas, area) - 1]
        rest, first, length = area - segment.area, segment.first, segment.length
        # The largest x with slope x² + 2 first length x <= rest length.
        if segment.slope == 0:
            into = rest // (2 * first)
        else:
            middle = first * length
            square = middle * middle + segment.slope * rest * length
            if segment.slope > 0:
                into = (math.isqrt(square) - middle) // segment.slope
            else:
                into = (middle - _root_above(square)) // -segment.slope
        return segment.begin + into

    def level_until(self, at: int, step: int) -> int | None:
        """Return when the value may differ from that of now; None after the end.

        On a slope that is after `step`.
        """
        if at >= self.end:
            return None
        segment = self._segments[bisect_right(self._begins, max(0, at)) - 1]
        end = segment.begin + segment.length
        return min(at + step, end) if segment.slope else end

    def ending(self, at: int) -> Ramp:
        """Return the same ramp with another end: the rest is cut off, or the last value holds."""
        stages, first = [], self._segments[0].first if self._segments else 0
        for segment in self._segments:
            stages.append(Stage(segment.first / _MILLION, 0))
            length = min(segment.length, at - segment.begin)
            if length <= 0:
                break
            last = segment.first + segment.slope * length / segment.length
            stages.append(Stage(last / _MILLION, length / NS))
        if stages and at > self.end:
            stages.append(Stage(stages[-1].target, (at - self.end) / NS))
        return Ramp(first / _MILLION, stages)

    def peak(self) -> float:
        """Return the largest value."""
        return max((max(s.first, s.last) for s in self._segments), default=0) / _MILLION


def _root_above(square: int) -> int:
    """Return the smallest integer whose square is at least `square`."""
    return math.isqrt(square - 1) + 1 if square > 0 else 0
