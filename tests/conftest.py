"""Fail every test on faults that pytest-twisted ignores.

These are unhandled failures of Deferreds, logged errors, and pending delayed calls.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
import pytest_twisted
from twisted.internet import task
from twisted.logger import LogEvent, LogLevel, formatEvent, globalLogPublisher

_REACTOR_TURNS = 5

# On shared machines the duration of an example means nothing.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


def pytest_collection_finish() -> None:
    """Exclude objects from before the first test from the collection after each test."""
    gc.collect()
    gc.freeze()


class LoggedErrors:
    """The errors logged during a test; a test removes expected ones by `flush`."""

    def __init__(self) -> None:
        self._events: list[LogEvent] = []

    def __call__(self, event: LogEvent) -> None:
        """Store an event of level error or above."""
        if event.get("log_level", LogLevel.info) >= LogLevel.error or event.get("isError"):
            self._events.append(event)

    def flush(self, *types: type[BaseException]) -> list[LogEvent]:
        """Return and remove the events whose failure is of one of `types` (default: any).

        Unhandled failures of Deferreds are logged by the collection that this starts.
        """
        gc.collect()
        flushed = [event for event in self._events if not types or _is_of(event, types)]
        self._events = [event for event in self._events if event not in flushed]
        return flushed


def _is_of(event: LogEvent, types: tuple[type[BaseException], ...]) -> bool:
    failure = event.get("log_failure")
    return failure is not None and failure.check(*types) is not None


def _text(event: LogEvent) -> str:
    failure = event.get("log_failure")
    return formatEvent(event) + (f"\n{failure.getTraceback()}" if failure is not None else "")


@pytest.fixture(autouse=True)
def logged_errors() -> Iterator[LoggedErrors]:
    """Fail the test on logged errors, unhandled failures and pending delayed calls."""
    from twisted.internet import reactor

    errors = LoggedErrors()
    before = set(reactor.getDelayedCalls())
    globalLogPublisher.addObserver(errors)
    try:
        yield errors
        _turn(reactor)
        left = [call for call in reactor.getDelayedCalls() if call not in before]
        passed_over = [_text(event) for event in errors.flush()]
    finally:
        globalLogPublisher.removeObserver(errors)
    passed_over += [f"delayed call left behind: {call}" for call in left]
    for call in left:
        call.cancel()
    if passed_over:
        pytest.fail("\n".join(passed_over), pytrace=False)


def _turn(reactor: Any) -> None:
    """Let the reactor finish what is due, such as closing a connection that a test has dropped."""
    for _ in range(_REACTOR_TURNS):
        pytest_twisted.blockon(task.deferLater(reactor, 0))
