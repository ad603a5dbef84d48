"""Every test also fails for what pytest-twisted passes over.

That is: failures nobody took, logged errors, and delayed calls left behind.
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

# How long an example takes says nothing where machines are shared.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


def pytest_collection_finish() -> None:
    """Spare the collection after each test what was there before the first."""
    gc.collect()
    gc.freeze()


class LoggedErrors:
    """The errors that were logged during a test; those a test expects it takes out with `flush`."""

    def __init__(self) -> None:
        self._events: list[LogEvent] = []

    def __call__(self, event: LogEvent) -> None:
        """Keep an event of level error or above."""
        if event.get("log_level", LogLevel.info) >= LogLevel.error or event.get("isError"):
            self._events.append(event)

    def flush(self, *types: type[BaseException]) -> list[LogEvent]:
        """Return the events whose failure is of one of `types` (none: any), and forget them.

        A Deferred's failure that nobody took is logged when it is collected: that happens here.
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
    """Fail the test for logged errors, failures nobody took and delayed calls left behind."""
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
