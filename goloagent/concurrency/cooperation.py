"""Work on the reactor thread in turns, between which the reactor handles other events."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

TURN_SECONDS = 0.01


def take_turn(clock: IReactorTime, steps: Iterator[None]) -> bool:
    """Run steps for `TURN_SECONDS`; return whether all are done."""
    end = clock.seconds() + TURN_SECONDS
    return all(clock.seconds() < end for _ in steps)


async def cooperate(clock: IReactorTime, steps: Iterator[None]) -> None:
    """Run all steps of a long computation, yielding to the reactor between turns."""
    while not take_turn(clock, steps):
        await deferLater(clock, 0.0)


class TurnQueue:
    """Runs callbacks in order, one in each iteration of the reactor.

    It bounds the work that clients can cause at once, such as by pipelining thousands of requests.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._waiting: deque[Callable[[], object]] = deque()

    def wait(self, callback: Callable[[], object]) -> None:
        """Run `callback` in a later iteration, after those that wait."""
        self._waiting.append(callback)
        if len(self._waiting) == 1:
            self._clock.callLater(0, self._run_next)

    def _run_next(self) -> None:
        callback = self._waiting.popleft()
        if self._waiting:
            self._clock.callLater(0, self._run_next)
        callback()
