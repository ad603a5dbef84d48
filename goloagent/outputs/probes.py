"""The rate of pushes that will probably be refused, which any number of runs share. Pure."""

from __future__ import annotations

import attrs

from goloagent.outputs.retry import PROBE_SECONDS

# After this number of refused runs, over or live, without a delivery between them, the backend
# counts as one that refuses everything. With a probe every 30 s this makes 270 requests in an hour.
FIRST_TRIES = 120
FIRST_TRIES_OF_LIVE_RUNS = 30


@attrs.define
class ProbePacer:
    """When to push for runs of which the backend has accepted nothing.

    The first try of a run is immediate while the backend accepts other runs. A refused run waits
    for a probe, of which there is one every 30 s. If a probe is delivered, the setting may be
    corrected, so the next probe is immediate.
    """

    _tries: int = attrs.field(default=FIRST_TRIES, init=False)
    _live_tries: int = attrs.field(default=FIRST_TRIES_OF_LIVE_RUNS, init=False)
    _next_at: float = attrs.field(default=0.0, init=False)

    def first_try_is_probe(self, live: bool) -> bool:
        """Return whether a first try must wait for a probe, because too many were refused."""
        return not (self._live_tries if live else self._tries)

    def first_try_in(self, now: float, live: bool) -> float:
        """Return the seconds until the first try of a run."""
        return self.probe_in(now) if self.first_try_is_probe(live) else 0.0

    def probe_in(self, now: float) -> float:
        """Return the seconds until the next probe."""
        return max(0.0, self._next_at - now)

    def delivered(self, now: float, probe: bool) -> None:
        """Note a delivery; `probe` if its run was refused before."""
        self._tries, self._live_tries = FIRST_TRIES, FIRST_TRIES_OF_LIVE_RUNS
        if probe:
            self._next_at = now

    def refused(self, now: float, live: bool) -> None:
        """Note that a run was refused."""
        if live:
            self._live_tries = max(0, self._live_tries - 1)
        else:
            self._tries = max(0, self._tries - 1)
        self.postpone(now)

    def postpone(self, now: float) -> None:
        """Delay the next probe."""
        self._next_at = now + PROBE_SECONDS
