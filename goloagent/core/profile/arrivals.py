"""When the iterations of the open model are due: cursors over a schedule, in its order."""

from __future__ import annotations

import random
from copy import copy
from typing import Protocol

from goloagent.core.profile.ramp import UNIT, Ramp


class Arrivals(Protocol):
    """The arrivals of one agent, from the next one on."""

    next_at: int | None
    """When the next arrival is due; None after the last."""

    def advance(self) -> None:
        """Go to the arrival after the next one."""

    def skip(self, until: int) -> int:
        """Skip the arrivals that are due until a time, and return their number."""

    def copy(self) -> Arrivals:
        """Return another cursor at the same place."""


class EvenArrivals:
    """Arrivals `index`, `index` + `of` and so on of one for each unit of the area of a ramp.

    Args:
        since: the time of the first.
    """

    def __init__(self, ramp: Ramp, index: int, of: int, since: int) -> None:
        first = ramp.count(since)
        self._ramp, self._of = ramp, of
        self._number = first + (index - first) % of
        self._end = ramp.count(ramp.end)
        self.next_at: int | None = self._next_at()

    def advance(self) -> None:
        """Go to the arrival after the next one."""
        self._number += self._of
        self.next_at = self._next_at()

    def skip(self, until: int) -> int:
        """Skip the arrivals that are due until a time, and return their number.

        It takes the same time for any number.
        """
        due = self._ramp.count(until + 1)
        count = max(0, -((self._number - due) // self._of))
        self._number += count * self._of
        self.next_at = self._next_at()
        return count

    def copy(self) -> EvenArrivals:
        """Return another cursor at the same place."""
        return copy(self)

    def _next_at(self) -> int | None:
        if self._number >= self._end:
            return None
        return self._ramp.time_of(self._number * UNIT)


class PoissonArrivals:
    """Arrivals of a Poisson process of rate 1 on the area below a ramp (time rescaling).

    It has no memory, so that a later part of it is drawn like the whole.

    Args:
        index, of: of all arrivals, these are `index`, `index` + `of` and so on.
        since: the time after which they are.
    """

    def __init__(self, ramp: Ramp, index: int, of: int, since: int, seed: int) -> None:
        self._ramp, self._of = ramp, of
        self._random = random.Random(seed + since)
        self._area = ramp.count(since) * UNIT
        self.next_at: int | None = None
        self._draw(index + 1)

    def advance(self) -> None:
        """Go to the arrival after the next one."""
        self._draw(self._of)

    def skip(self, until: int) -> int:
        """Skip the arrivals that are due until a time, and return their number."""
        count = 0
        while self.next_at is not None and self.next_at <= until:
            self._draw(self._of)
            count += 1
        return count

    def copy(self) -> PoissonArrivals:
        """Return another cursor at the same place."""
        other = copy(self)
        other._random = random.Random()
        other._random.setstate(self._random.getstate())
        return other

    def _draw(self, count: int) -> None:
        """Draw so many arrivals; the last one is the next."""
        draw = self._random.expovariate
        for _ in range(count):
            self._area += int(draw(1.0) * UNIT)
        at = self._ramp.time_of(self._area)
        self.next_at = at if at < self._ramp.end else None
