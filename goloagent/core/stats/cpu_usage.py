"""How much CPU the agent and the load test of a run used. Pure."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

MIN_SECONDS = 0.5
"""A shorter interval has no figure of its own: the kernel counts in ticks of 10 ms."""

_DIGITS = 4

_Cpus = Annotated[float, Meta(ge=0)]


class CpuUsage(Struct, frozen=True):
    """CPU seconds a second: 1 is one CPU that is busy all the time.

    Attributes:
        mean: of all the load.
        max: of the second with the most.
    """

    mean: _Cpus
    max: _Cpus


class RunCpu(Struct, frozen=True):
    """The CPU usage of the agent's process, and of all processes of the load test.

    Attributes:
        load_test: null if it could not be measured.
    """

    agent: CpuUsage
    load_test: CpuUsage | None


class CpuAccount:
    """Adds up the CPU seconds of intervals."""

    def __init__(self) -> None:
        self._used = self._seconds = 0.0
        self._max: float | None = None

    def add(self, used: float, seconds: float) -> None:
        """Add the CPU seconds that were used in an interval."""
        self._used += used
        self._seconds += seconds
        if seconds >= MIN_SECONDS:
            self._max = max(self._max or 0.0, used / seconds)

    @property
    def usage(self) -> CpuUsage | None:
        """The usage of all intervals, or None if none was long enough."""
        if self._max is None:
            return None
        return CpuUsage(round(self._used / self._seconds, _DIGITS), round(self._max, _DIGITS))
