"""Executors: which iterations start, and from when each one is measured.

All times are nanoseconds from the start of the load.
"""

from __future__ import annotations

from typing import Protocol

from goloagent.core.profile.load_profile import LoadProfile
from goloagent.load.arrival_rate import ArrivalRate
from goloagent.load.closed_loop import ClosedLoop


class Executor(Protocol):
    """Decides which iterations start; asked after every reply, and when `next_at` has come."""

    dropped: int
    """The iterations that were due and will never start."""
    waited: bool
    """Whether an iteration was due and had to wait; reset by its reader."""

    @property
    def next_at(self) -> int | None:
        """When an iteration may start without a reply before; None if none will."""

    def due(self, now: int, in_flight: int) -> list[int]:
        """Return when each iteration that starts now was intended to start."""

    def replace(self, profile: LoadProfile, now: int) -> None:
        """Follow another profile from now on."""

    def end(self, now: int) -> None:
        """Start no iteration from now on."""


def make_executor(profile: LoadProfile) -> Executor:
    """Return the executor of a profile's model."""
    return ClosedLoop(profile) if profile.model == "closed" else ArrivalRate(profile)
