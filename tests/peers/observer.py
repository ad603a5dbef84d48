"""Says whether the host was too busy for a measurement."""

from __future__ import annotations

import re
from pathlib import Path

from twisted.internet import reactor

from goloagent.concurrency.periodic import Periodic
from goloagent.load.generator_limits import LOOP_LAG_SECONDS


class Observer:
    """Measures whether this process, too, had to wait for the host."""

    def __init__(self) -> None:
        self._lag = 0.0
        self._timer = Periodic(reactor, 0.02, "observer", self._measure)

    def _measure(self) -> None:
        self._lag = max(self._lag, self._timer.late_seconds)

    def start(self) -> None:
        """Begin to measure."""
        self._lag, self._cpu_before = 0.0, self._cpu_pressure()
        self._timer.start()

    def was_delayed(self) -> bool:
        """End it; return whether the host was too busy for a clean run."""
        self._timer.stop()
        return self._lag > LOOP_LAG_SECONDS / 2 or self._cpu_pressure() - self._cpu_before > 1

    def _cpu_pressure(self) -> float:
        """Return for how many seconds a process of the host waited for a CPU."""
        try:
            text = Path("/proc/pressure/cpu").read_text()
        except OSError:
            return 0.0
        return int(re.findall(r"total=(\d+)", text)[0]) / 1e6
