"""Long computations on the reactor thread, in turns, between which everything else is handled."""

from __future__ import annotations

from collections.abc import Iterator

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

TURN_SECONDS = 0.01


def take_turn(clock: IReactorTime, steps: Iterator[None]) -> bool:
    """Take steps for as long as a turn lasts; return whether there are no more."""
    end = clock.seconds() + TURN_SECONDS
    return all(clock.seconds() < end for _ in steps)


async def cooperate(clock: IReactorTime, steps: Iterator[None]) -> None:
    """Take every step, turn by turn."""
    while not take_turn(clock, steps):
        await deferLater(clock, 0.0)
