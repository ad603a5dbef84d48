"""The closed model: each user's next iteration starts when the one before has returned."""

from __future__ import annotations

from goloagent.core.profile.load_profile import LoadProfile

STEP_NS = 20_000_000
"""How often the number of users is computed while it changes."""


class ClosedLoop:
    """Keeps one iteration of each of a profile's users in flight.

    When users become fewer, those iterations that return first are not followed by others.

    Attributes:
        dropped: always 0, because an iteration is due when the one before has returned.
        waited: always False.
        next_at: when the number of users may change.
    """

    def __init__(self, profile: LoadProfile) -> None:
        self.dropped, self.waited = 0, False
        self._profile = profile
        self._users = 0
        self.next_at: int | None = 0

    def due(self, now: int, in_flight: int) -> list[int]:
        """Return now for each user without an iteration."""
        if self.next_at is not None and now >= self.next_at:
            self._users = self._profile.users(now)
            self.next_at = self._profile.ramp.level_until(now, STEP_NS)
        return [now] * (self._users - in_flight)

    def replace(self, profile: LoadProfile, now: int) -> None:
        """Follow another profile from now on; no iteration is aborted."""
        self._profile, self.next_at = profile, now

    def end(self, _now: int) -> None:
        """Start no iteration from now on."""
        self._users, self.next_at = 0, None
