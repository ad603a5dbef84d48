"""Wait for effects of other processes."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from twisted.internet import reactor, task


async def until(condition: Callable[[], object], seconds: float = 60) -> float:
    """Wait until the condition holds, and return the seconds that it took; fail after `seconds`."""
    begin = time.monotonic()
    while not condition():
        assert time.monotonic() - begin < seconds, f"not within {seconds} s"
        await task.deferLater(reactor, 0.01)
    return time.monotonic() - begin


def seconds_without_cpu(pid: int) -> float:
    """Return for how long the main thread of a process was ready to run and had no CPU.

    The difference of two readings is the host's part of a measured time; it is 0 on a system
    without the statistics of its scheduler.
    """
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    except OSError:
        return 0.0
