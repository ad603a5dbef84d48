"""How often pushes may go that will probably be refused: politely, however many runs there are.

Pure: no clock, no network.
"""

from __future__ import annotations

import attrs

from goloagent.outputs.retry import PROBE_SECONDS

# So many runs that are over, and so many that are live, may be refused with nothing taken in
# between, before the output counts as one that refuses everything. With a probe every 30 s behind
# them these are 270 requests in an hour.
FIRST_TRIES = 120
FIRST_TRIES_OF_LIVE_RUNS = 30


@attrs.define
class ProbePacer:
    """Pushes of runs that are not known to be taken.

    A run that was not tried yet goes at once while the output takes something now and then; one
    that was refused waits for a probe, of which the output gets one every 30 s. When a probe is
    taken, what was wrong may be mended: the next one goes at once.
    """

    _tries: int = attrs.field(default=FIRST_TRIES, init=False)
    _live_tries: int = attrs.field(default=FIRST_TRIES_OF_LIVE_RUNS, init=False)
    _next_at: float = attrs.field(default=0.0, init=False)

    def first_try_is_probe(self, live: bool) -> bool:
        """Tell whether so many were refused that a first try has to wait for a probe's turn."""
        return not (self._live_tries if live else self._tries)

    def first_try_in(self, now: float, live: bool) -> float:
        """Return in how many seconds a run may be tried that never was."""
        return self.probe_in(now) if self.first_try_is_probe(live) else 0.0

    def probe_in(self, now: float) -> float:
        """Return in how many seconds the next probe may go."""
        return max(0.0, self._next_at - now)

    def taken(self, now: float, probe: bool) -> None:
        """Note that the output took something; `probe` says that its run was refused before."""
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
        """Let no probe go for a while."""
        self._next_at = now + PROBE_SECONDS
