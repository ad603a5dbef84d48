"""Long computations leave turns to others."""

from __future__ import annotations

from collections.abc import Iterator

from twisted.internet.defer import ensureDeferred
from twisted.internet.task import Clock

from goloagent.concurrency.cooperation import TURN_SECONDS, cooperate, take_turn


def steps(clock: Clock, count: int, seconds: float) -> Iterator[None]:
    """Take so many steps, of so many seconds each."""
    for _ in range(count):
        clock.rightNow += seconds
        yield


def test_a_turn_ends_after_its_time() -> None:
    """A computation is left where its turn ends, and goes on from there."""
    clock = Clock()
    computation = steps(clock, 10, TURN_SECONDS / 4)
    assert not take_turn(clock, computation)
    assert clock.seconds() == TURN_SECONDS
    while not take_turn(clock, computation):
        pass
    assert list(computation) == []


def test_what_is_short_is_done_at_once() -> None:
    """No turn of the reactor passes."""
    clock = Clock()
    done = ensureDeferred(cooperate(clock, steps(clock, 3, TURN_SECONDS / 4)))
    assert done.called
    assert clock.getDelayedCalls() == []


def test_others_have_their_turn() -> None:
    """Whatever else is due is handled between two turns."""
    clock = Clock()
    handled: list[float] = []
    done = ensureDeferred(cooperate(clock, steps(clock, 100, TURN_SECONDS)))
    for seconds in (0.05, 0.5):
        clock.callLater(seconds, lambda: handled.append(clock.seconds()))
    clock.advance(0)
    assert done.called
    assert clock.seconds() > 0.9
    assert [round(seconds, 1) for seconds in handled] == [0.1, 0.5]


def test_to_cancel_ends_it() -> None:
    """It takes no further step."""
    clock = Clock()
    computation = steps(clock, 100, TURN_SECONDS)
    done = ensureDeferred(cooperate(clock, computation))
    done.addErrback(lambda _: None)
    done.cancel()
    assert clock.getDelayedCalls() == []
    assert len(list(computation)) == 99
