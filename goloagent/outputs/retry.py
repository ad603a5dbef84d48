"""When to retry a batch, and with how many results. Pure."""

from __future__ import annotations

import random

import attrs

from goloagent.outputs.sink import Response

FIRST_DELAY_SECONDS = 0.1
MAX_DELAY_SECONDS = 30.0
PROBE_SECONDS = 30.0
MAX_RETRY_AFTER_SECONDS = 300.0
# From this number of rejections in a row on, the cause is a wrong setting and not the results.
REJECT_LIMIT = 256
REJECT_LIMIT_IF_MOST = 8
"""For a run most of whose results were rejected."""

_TIMED_OUT = frozenset({408, 504})
_BUSY = frozenset({425, 429, 503})


def failures_until_smaller(response: Response) -> int | None:
    """Return after which number of failures in a row, `response` being the last, a batch is split.

    None if its size cannot be the cause. It may be if a collector, or a proxy before it, does not
    respond in time, breaks or is busy. A less clear sign must occur more often; a split during an
    outage costs a few small requests after it.
    """
    if not response.reached:
        return None
    if response.timed_out or response.status in _TIMED_OUT:
        return 1
    if response.status in _BUSY:
        return 5
    return 2


@attrs.define
class Backoff:
    """Delays before the next attempt: full jitter below a bound that doubles from 0.1 s to 30 s."""

    _random: random.Random = attrs.Factory(random.Random)
    _bound_seconds: float = FIRST_DELAY_SECONDS

    def reset(self) -> None:
        """Begin again, because there was a response."""
        self._bound_seconds = FIRST_DELAY_SECONDS

    def next_delay(self, retry_after: float | None) -> float:
        """Return the seconds to wait: at least what the backend asked for, up to 300 s."""
        delay = self._random.uniform(0, self._bound_seconds)
        self._bound_seconds = min(2 * self._bound_seconds, MAX_DELAY_SECONDS)
        return max(delay, min(retry_after or 0.0, MAX_RETRY_AFTER_SECONDS))
