"""Waiting for what another process brings about."""

from __future__ import annotations

import time
from collections.abc import Callable

from twisted.internet import task


async def until(condition: Callable[[], object], seconds: float = 20) -> float:
    """Return after how many seconds the condition holds; fail after `seconds`."""
    from twisted.internet import reactor

    begin = time.monotonic()
    while not condition():
        assert time.monotonic() - begin < seconds, f"not within {seconds} s"
        await task.deferLater(reactor, 0.01)
    return time.monotonic() - begin
