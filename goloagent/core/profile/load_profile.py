"""The load that a job plans: its model, its ramp, and this agent's share of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import attrs

from goloagent.core.profile.arrivals import Arrivals, EvenArrivals, PoissonArrivals
from goloagent.core.profile.ramp import NS, Ramp, Stage

Model = Literal["closed", "open"]
Spacing = Literal["even", "poisson"]
WhenFull = Literal["drop", "wait"]


@attrs.frozen
class Share:
    """Part `index`, counted from 0, of `of` parts of a fleet's load."""

    index: int = 0
    of: int = 1


@attrs.frozen
class LoadProfile:
    """Users over time in the closed model, iterations per second in the open one.

    Attributes:
        ramp: the whole fleet's.
        arrivals: how the open model's iterations are spaced.
        max_in_flight: most iterations of this agent that run at once in the open model.
        when_full: whether an iteration due beyond `max_in_flight` is dropped, or waits.
        graceful_stop: seconds for the iterations in flight at the end; None for the agent's.
        seed: of a Poisson process; the agents of a fleet have the same.
    """

    model: Model
    ramp: Ramp = attrs.field(eq=False)
    arrivals: Spacing = "even"
    max_in_flight: int = 5_000
    when_full: WhenFull = "drop"
    graceful_stop: float | None = None
    share: Share = Share()
    seed: int = 0

    @property
    def seconds(self) -> float:
        """The duration of the load."""
        return self.ramp.end / NS

    def users(self, at: int) -> int:
        """Return how many users of this agent the closed model has at a time."""
        whole = int(self.ramp.value(at) + 0.5)
        return whole // self.share.of + (self.share.index < whole % self.share.of)

    def rate(self, at: int) -> float:
        """Return the iterations per second that the open model plans for this agent."""
        return self.ramp.value(at) / self.share.of

    def scheduled(self, at: int) -> int:
        """Return how many evenly spaced arrivals of this agent are due before a time."""
        return max(0, -((self.share.index - self.ramp.count(at)) // self.share.of))

    def holding(self, value: float, since: int) -> LoadProfile:
        """Return this profile with a constant value from a time to its end."""
        rest = max(0, self.ramp.end - since)
        stages = [Stage(0, since / NS), Stage(value, 0), Stage(value, rest / NS)]
        return attrs.evolve(self, ramp=Ramp(0, stages))

    def ending(self, at: int) -> LoadProfile:
        """Return this profile with another end: the rest is cut off, or the last value holds."""
        return attrs.evolve(self, ramp=self.ramp.ending(at))

    def arrivals_from(self, since: int = 0) -> Arrivals:
        """Return when each iteration of this agent is due in the open model.

        Agents of one fleet take turns: the union of their arrivals is the whole schedule.
        """
        index, of = self.share.index, self.share.of
        if self.arrivals == "even":
            return EvenArrivals(self.ramp, index, of, since)
        return PoissonArrivals(self.ramp, index, of, since, self.seed)

    def arrival_times(self, since: int = 0) -> Iterator[int]:
        """Yield the times of `arrivals_from`."""
        arrivals = self.arrivals_from(since)
        while arrivals.next_at is not None:
            yield arrivals.next_at
            arrivals.advance()
