"""A stop of phases: each ends by its time, and none keeps the next from its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from conftest import LoggedErrors
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred, fail, succeed
from twisted.internet.task import Clock

from goloagent.host.stop import Guard, OrderedStop


async def deaf() -> None:
    """Never end, and heed no cancellation."""
    while True:
        with suppress(CancelledError):
            await Deferred()


async def raises() -> None:
    """Fail."""
    raise ZeroDivisionError


def stopping(
    clock: Clock, *phases: Callable[[float], Any], reserve_seconds: float = 2.0
) -> tuple[OrderedStop, list[bool]]:
    """Begin a stop of 10 s with phases, of which all but the last reserve some time."""
    stop, ends = OrderedStop(clock, 10.0), list[bool]()

    async def perform() -> None:
        for number, phase in enumerate(phases):
            last = number == len(phases) - 1
            ends.append(await stop.phase(f"{number}", phase, 0.0 if last else reserve_seconds))

    ensureDeferred(perform())
    return stop, ends


def test_phases_that_end_take_no_longer() -> None:
    """Phases run in order with any return value, and no timer is left."""
    clock = Clock()
    stop, ends = stopping(clock, lambda _: None, lambda _: succeed(None), lambda _: 1)
    assert (ends, stop.left, clock.getDelayedCalls()) == ([True] * 3, [], [])


@pytest.mark.parametrize("hanging", [lambda _: Deferred(), lambda _: deaf()])
def test_a_phase_that_hangs_ends_by_its_time(hanging: Callable[[float], Any]) -> None:
    """It leaves what is reserved, also when it heeds no cancellation, and is named."""
    clock = Clock()
    given: list[float] = []
    stop, ends = stopping(clock, hanging, given.append)
    clock.advance(7.9)
    assert ends == []
    clock.advance(0.1)
    assert ends == [False, True]
    assert (given, stop.left) == ([2.0], ["0"])


def test_many_phases_that_hang_keep_the_deadline() -> None:
    """Those whose time is over still get their turn."""
    clock = Clock()
    stop, ends = stopping(clock, *[lambda _: deaf()] * 9)
    for _ in range(11 * 4):
        clock.advance(0.25)
    assert ends == [False] * 9
    assert stop.left == [str(number) for number in range(9)]


@pytest.mark.parametrize("failing", [lambda _: fail(ZeroDivisionError()), lambda _: raises()])
def test_a_phase_that_fails_is_logged_and_left(
    logged_errors: LoggedErrors, failing: Callable[[float], Any]
) -> None:
    """The next one comes at once."""
    stop, ends = stopping(Clock(), failing, lambda _: None)
    assert (ends, stop.left) == ([False, True], ["0"])
    assert len(logged_errors.flush(ZeroDivisionError)) == 1


def test_what_comes_after_the_time_changes_nothing(logged_errors: LoggedErrors) -> None:
    """A phase may end, or fail, long after it was left."""
    clock, late = Clock(), Deferred[None](lambda _: None)
    _, ends = stopping(clock, lambda _: late, lambda _: None)
    clock.advance(8.0)
    assert ends == [False, True]
    assert logged_errors.flush() == []


def test_the_guard_ends_the_process_when_it_is_armed(capfd: pytest.CaptureFixture[str]) -> None:
    """By its own thread, with a line that says what hangs."""
    ended, codes = threading.Event(), list[int]()
    guard = Guard(0.0, lambda code: (codes.append(code), ended.set()))
    guard.start()
    guard.enter("closing the database")
    assert codes == []
    guard.arm()
    assert ended.wait(10)
    assert codes == [1]
    assert capfd.readouterr().err == (
        "golo-agent: the stop did not end in 0 s: closing the database\n"
    )
