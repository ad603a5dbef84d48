"""Runs a coroutine in the reactor, with Ctrl-C and SIGTERM as calls."""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.python.failure import Failure

Result = TypeVar("Result")


def run(
    work: Callable[[Any], Awaitable[Result]], interrupt: Callable[[], object] | None = None
) -> Result:
    """Return the result of a coroutine function that gets the reactor; may be called once.

    Args:
        interrupt: called at SIGINT and SIGTERM, in the reactor; by default the coroutine is
            cancelled.

    Raises:
        Exception: what the coroutine raises.
    """
    from twisted.internet import reactor as installed

    reactor: Any = installed
    results: list[Result | Failure] = []
    working: list[Deferred[Result]] = []

    def cancel() -> None:
        working[0].cancel()

    async def run() -> Result:
        return await work(reactor)

    def end(result: Result | Failure) -> None:
        results.append(result)
        reactor.stop()

    def begin() -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(
                number,
                lambda *_: reactor.callFromThread(interrupt or cancel),
            )
        working.append(ensureDeferred(run()))
        working[0].addBoth(end)

    reactor.callWhenRunning(begin)
    reactor.run(installSignalHandlers=False)
    [result] = results
    if isinstance(result, Failure):
        if result.check(CancelledError):
            raise KeyboardInterrupt
        result.raiseException()
    assert not isinstance(result, Failure)
    return result
