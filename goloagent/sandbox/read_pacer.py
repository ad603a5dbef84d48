"""How long a reader of a pipe rests: as long as a part of the pipe takes to fill. Pure.

A read costs a system call, a write to the log and the work on a block, so at a low rate few reads
of many lines are cheaper. At a high rate there is no rest.
"""

from __future__ import annotations

import attrs

MAX_REST_SECONDS = 0.05
MIN_REST_SECONDS = 0.001
"""A shorter rest is none, because it would cost more than it saves."""
FIRST_REST_SECONDS = 0.005
# A rest grows by this share, so it stays short for a second after a burst: a load test that prints
# in bursts waits in the first of them at most.
_GROWTH = 1 / 16


@attrs.define
class ReadPacer:
    """Adapts the rest to the rate, so that about `target_bytes` are read after it."""

    target_bytes: int
    _rest: float = attrs.field(default=FIRST_REST_SECONDS, init=False)

    def rest(self, read_bytes: int, seconds: float) -> float:
        """Return the rest after reading a number of bytes that came in `seconds`."""
        filling = seconds * self.target_bytes / max(1, read_bytes)
        self._rest = min(filling, self._rest * (1 + _GROWTH), MAX_REST_SECONDS)
        self._rest = max(self._rest, MIN_REST_SECONDS)
        return self._rest if filling >= MIN_REST_SECONDS else 0.0
