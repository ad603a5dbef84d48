"""Says whether the host was too busy for a measurement."""

from __future__ import annotations

import os
import re
from pathlib import Path

from twisted.internet import reactor

from goloagent.concurrency.periodic import Periodic
from goloagent.load.generator_limits import LOOP_LAG_SECONDS, read_counters


class Observer:
    """Measures whether this process, too, had to wait for the host."""

    def __init__(self) -> None:
        self._lag = 0.0
        self._timer = Periodic(reactor, 0.02, "observer", self._measure)

    def _measure(self) -> None:
        self._lag = max(self._lag, self._timer.late_seconds)

    def start(self) -> None:
        """Begin to measure."""
        self._lag, self._cpu_before = 0.0, self._lost_seconds()
        self._timer.start()

    def was_delayed(self) -> bool:
        """End it; return whether the host was too busy for a clean run."""
        self._timer.stop()
        return self._lag > LOOP_LAG_SECONDS / 2 or self._lost_seconds() - self._cpu_before > 1

    def _lost_seconds(self) -> float:
        """Return for how many seconds a process waited for a CPU, and ten times those stolen."""
        stolen = 10 * read_counters(os.getpid()).steal
        try:
            text = Path("/proc/pressure/cpu").read_text()
        except OSError:
            return stolen
        return stolen + int(re.findall(r"total=(\d+)", text)[0]) / 1e6
