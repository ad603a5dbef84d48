"""What to do with a collector's answer, when to try again, and how much to send at once.

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
BATCH_RESULTS = 256
MOST_BATCH_RESULTS = 2**15
"""More than a body holds of the shortest."""

QUICK_SECONDS = 1.0
# So many results refused, one after the other, are no bad results any more but a wrong setting:
# the few when the run has had most of its results refused, the many when it has not.
FEW_REFUSALS = 8
MANY_REFUSALS = 256


@attrs.frozen
class Answer:
    """What became of one push: a status, or an error where there was no answer.

    ``retry_after`` is in seconds; ``text`` the beginning of the answer's body.
    """

    status: int | None = None
    error: str | None = None
    certificate: bool = False
    retry_after: float | None = None
    text: str = ""

    def __str__(self) -> str:
        if self.status is None:
            return self.error or "no answer"
        return f"{self.status} {self.text[:200]}".strip()


class Verdict(Enum):
    """What an answer means for the batch."""

    TAKEN = "the batch is delivered"
    RETRY = "the collector is away or busy: the same batch again, for ever"
    DIVIDE = "something in the batch is refused: find it"
    HOLD = "a setting is wrong: nothing is sent but a probe now and then"


_DIVIDE = frozenset({400, 413, 422})
_RETRY = frozenset({408, 425, 429})


def judge(answer: Answer) -> Verdict:
    """Return the verdict on an answer; one that is not known holds, which loses nothing."""
    status = answer.status
    if status is None:
        return Verdict.HOLD if answer.certificate else Verdict.RETRY
    if 200 <= status < 300:
        return Verdict.TAKEN
    if status in _DIVIDE:
        return Verdict.DIVIDE
    if status in _RETRY or status >= 500:
        return Verdict.RETRY
    return Verdict.HOLD


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


@attrs.define
class Pace:
    """How many results go at once when delivery is behind: as many as the collector takes quickly.

    A batch that it takes too long for would be sent again and again.
    """

    results: int = BATCH_RESULTS

    def taken(self, seconds: float) -> None:
        """Go on faster or slower, as a batch was taken in so many seconds."""
        if seconds < QUICK_SECONDS:
            self.results = min(2 * self.results, MOST_BATCH_RESULTS)
        else:
            self.results = max(self.results // 2, BATCH_RESULTS)
