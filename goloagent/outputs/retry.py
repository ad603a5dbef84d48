"""What a collector's answer means, and when to try again.

Pure: no clock, no network.
"""

from __future__ import annotations

import random
from enum import Enum

import attrs

FIRST_DELAY_SECONDS = 0.1
LONGEST_DELAY_SECONDS = 30.0
PROBE_SECONDS = 30.0
LONGEST_RETRY_AFTER_SECONDS = 300.0
# So many results refused, one after the other, are no bad results any more but a wrong setting:
# the few when the run has had most of its results refused, the many when it has not.
FEW_REFUSALS = 8
MANY_REFUSALS = 256


@attrs.frozen
class Response:
    """What became of one push: a status, or an error where there was no answer.

    ``retry_after`` is in seconds; ``text`` the beginning of the answer's body. Without a status
    ``timed_out`` and ``cut`` say that the collector was reached: it did not answer in time, or
    ended the connection before it answered.
    """

    status: int | None = None
    error: str | None = None
    certificate: bool = False
    timed_out: bool = False
    cut: bool = False
    retry_after: float | None = None
    text: str = ""

    def __str__(self) -> str:
        if self.status is None:
            return self.error or "no answer"
        return f"{self.status} {self.text[:200]}".strip()

    @property
    def reached(self) -> bool:
        """Whether the collector had the request, or some of it."""
        return self.status is not None or self.timed_out or self.cut


class Disposition(Enum):
    """What a response means for the batch; the values are labels of a metric."""

    DELIVERED = "taken"
    RETRY = "retry"  # the collector is away or busy
    SPLIT = "divide"  # a result in the batch is refused
    PAUSE = "hold"  # a setting is wrong: only probes are sent


_DIVIDE = frozenset({400, 413, 422})
_RETRY = frozenset({408, 425, 429})
_TIMED_OUT = frozenset({408, 504})
_BUSY = frozenset({425, 429, 503})


def classify(answer: Response) -> Disposition:
    """Return the verdict on an answer; one that is not known holds, which loses nothing."""
    status = answer.status
    if status is None:
        return Disposition.PAUSE if answer.certificate else Disposition.RETRY
    if 200 <= status < 300:
        return Disposition.DELIVERED
    if status in _DIVIDE:
        return Disposition.SPLIT
    if status in _RETRY or status >= 500:
        return Disposition.RETRY
    return Disposition.PAUSE


def failures_until_smaller(answer: Response) -> int | None:
    """Return after how many failures in a row, of which `answer` is the last, a batch is divided.

    None: its size has no part in it. The size of a batch may be why a collector, or a proxy before
    it, does not answer in time, breaks or says that it is busy. A sign that is less clear must
    be seen more often; to divide a batch in an outage costs a few small requests after it.
    """
    if not answer.reached:
        return None
    if answer.timed_out or answer.status in _TIMED_OUT:
        return 1
    if answer.status in _BUSY:
        return 5
    return 2


@attrs.define
class Backoff:
    """Delays before the next attempt: full jitter below a bound that doubles from 0.1 s to 30 s."""

    _random: random.Random = attrs.Factory(random.Random)
    _bound_seconds: float = FIRST_DELAY_SECONDS

    def reset(self) -> None:
        """Begin again: the collector answered."""
        self._bound_seconds = FIRST_DELAY_SECONDS

    def next_delay(self, retry_after: float | None) -> float:
        """Return seconds to wait; never less than what the collector asked for, up to 300 s."""
        delay = self._random.uniform(0, self._bound_seconds)
        self._bound_seconds = min(2 * self._bound_seconds, LONGEST_DELAY_SECONDS)
        return max(delay, min(retry_after or 0.0, LONGEST_RETRY_AFTER_SECONDS))
