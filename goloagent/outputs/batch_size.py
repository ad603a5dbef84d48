"""The size of batches: as much as the backend accepts quickly, and less after a failure. Pure.

The number of results is learnt from the time of responses, the bytes of a body from bodies that
were refused and accepted in parts.
"""

from __future__ import annotations

import attrs

from goloagent.results.parser import MAX_BODY_BYTES

BATCH_RESULTS = 4096
"""A batch closes with this number of results, or when its body is full."""

MIN_SLOW_RESULTS = 256
"""A backend that only takes long gets no fewer results than this at once."""

MAX_BATCH_RESULTS = 2**15
"""More of the shortest results than a body can contain."""

QUICK_SECONDS = 1.0
# The number of full batches in a row before a failed size is tried again; it doubles with each
# further failure.
FIRST_PATIENCE = 16
MAX_PATIENCE = 1024


@attrs.define
class SizeLimit:
    """A size that doubles with each full delivery, and grows slowly near a size that failed."""

    size: int
    maximum: int
    _failed: int | None = attrs.field(default=None, init=False)
    _failing: bool = attrs.field(default=False, init=False)
    _patience: int = attrs.field(default=FIRST_PATIENCE, init=False)
    _delivered: int = attrs.field(default=0, init=False)

    def delivered(self, amount: int, full: bool) -> None:
        """Note a quick delivery; `full` if it was as large as allowed."""
        self.slow(amount)
        if not full:
            return
        larger = min(2 * self.size, self.maximum)
        if self._failed is None or larger < self._failed:
            self.size = larger
            return
        self._delivered += 1
        if self._delivered >= self._patience:
            self._delivered, self.size = 0, max(self.size, min(self._failed, self.maximum))

    def slow(self, amount: int) -> None:
        """Note a slow delivery."""
        self._failing = False
        if self._failed is not None and amount >= self._failed:
            self._failed, self._patience = None, FIRST_PATIENCE

    def failed(self, amount: int) -> None:
        """Note a failure; half of it is tried next.

        Only the first of several failures in a row is remembered, because they may be an outage.
        """
        if not self._failing and amount > 1:
            if self._failed is not None and amount >= self._failed:
                self._patience = min(2 * self._patience, MAX_PATIENCE)
            self._failed = amount if self._failed is None else min(self._failed, amount)
        self._failing, self._delivered = True, 0
        self.size = max(1, min(self.size, amount // 2))


@attrs.define
class AdaptiveBatchSize:
    """The maximum number of results of a batch, and of bytes of its body, for one output."""

    results: SizeLimit = attrs.Factory(lambda: SizeLimit(BATCH_RESULTS, MAX_BATCH_RESULTS))
    body: SizeLimit = attrs.Factory(lambda: SizeLimit(MAX_BODY_BYTES, MAX_BODY_BYTES))

    def delivered(self, results: int, body_bytes: int, seconds: float) -> None:
        """Note a delivery that took `seconds`."""
        # A body counts as full above a half, because the next line might not have fitted.
        self.body.delivered(body_bytes, full=2 * body_bytes > self.body.size)
        if seconds < QUICK_SECONDS:
            self.results.delivered(results, full=results >= self.results.size)
            return
        self.results.slow(results)
        if self.results.size > MIN_SLOW_RESULTS:
            in_time = int(results * QUICK_SECONDS / seconds)
            self.results.size = max(min(self.results.size // 2, in_time), MIN_SLOW_RESULTS)

    def failed(self, results: int) -> None:
        """Note that a batch timed out, or broke the backend."""
        self.results.failed(results)

    def too_large(self, body_bytes: int) -> None:
        """Note that a body was refused, and its parts were accepted."""
        self.body.slow(0)
        self.body.failed(body_bytes)
