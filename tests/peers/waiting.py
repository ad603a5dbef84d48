"""Wait for effects of other processes."""

from __future__ import annotations

import time
from collections.abc import Callable

from twisted.internet import reactor, task


async def until(condition: Callable[[], object], seconds: float = 60) -> float:
    """Wait until the condition holds, and return the seconds that it took; fail after `seconds`."""
    begin = time.monotonic()
    while not condition():
        assert time.monotonic() - begin < seconds, f"not within {seconds} s"
        await task.deferLater(reactor, 0.01)
    return time.monotonic() - begin
