"""Long computations yield to the reactor."""

from __future__ import annotations

from collections.abc import Iterator

from twisted.internet.defer import ensureDeferred
from twisted.internet.task import Clock

from goloagent.concurrency.cooperation import TURN_SECONDS, cooperate, take_turn


def steps(clock: Clock, count: int, seconds: float) -> Iterator[None]:
    """Yield `count` steps of some seconds each."""
    for _ in range(count):
        clock.rightNow += seconds
        yield


def test_a_turn_ends_after_its_time() -> None:
    """A computation is suspended at the end of its turn, and resumed."""
    clock = Clock()
    computation = steps(clock, 10, TURN_SECONDS / 4)
    assert not take_turn(clock, computation)
    assert clock.seconds() == TURN_SECONDS
    while not take_turn(clock, computation):
        pass
    assert list(computation) == []


def test_a_short_computation_ends_at_once() -> None:
    """It does not wait for the reactor."""
    clock = Clock()
    done = ensureDeferred(cooperate(clock, steps(clock, 3, TURN_SECONDS / 4)))
    assert done.called
    assert clock.getDelayedCalls() == []


def test_other_events_are_handled() -> None:
    """Due events are handled between two turns."""
    clock = Clock()
    handled: list[float] = []
    done = ensureDeferred(cooperate(clock, steps(clock, 100, TURN_SECONDS)))
    for seconds in (0.05, 0.5):
        clock.callLater(seconds, lambda: handled.append(clock.seconds()))
    clock.advance(0)
    assert done.called
    assert clock.seconds() > 0.9
    assert [round(seconds, 1) for seconds in handled] == [0.1, 0.5]


def test_cancel() -> None:
    """A cancelled computation runs no further step."""
    clock = Clock()
    computation = steps(clock, 100, TURN_SECONDS)
    done = ensureDeferred(cooperate(clock, computation))
    done.addErrback(lambda _: None)
    done.cancel()
    assert clock.getDelayedCalls() == []
    assert len(list(computation)) == 99
