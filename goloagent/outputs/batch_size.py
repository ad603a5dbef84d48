"""How much is sent to a collector at once: as much as it takes quickly, and less after a failure.

A collector's limit is learnt from what it takes and refuses: the results of a batch from the time
that they take, the bytes of a body from bodies that it refused and took in parts. Pure.
"""

from __future__ import annotations

import attrs

from goloagent.results.parser import MAX_BODY_BYTES

BATCH_RESULTS = 256
MAX_BATCH_RESULTS = 2**15
"""More than a body holds of the shortest."""

QUICK_SECONDS = 1.0
# So many full batches in a row are taken before a size that has failed is tried again; each time
# that it fails once more, twice as many.
FIRST_PATIENCE = 16
MAX_PATIENCE = 1024


@attrs.define
class SizeLimit:
    """A size that doubles when it is used up and taken, and slowly where it failed before."""

    size: int
    maximum: int
    _failed: int | None = attrs.field(default=None, init=False)
    _failing: bool = attrs.field(default=False, init=False)
    _patience: int = attrs.field(default=FIRST_PATIENCE, init=False)
    _taken: int = attrs.field(default=0, init=False)

    def taken(self, amount: int, full: bool) -> None:
        """Note that so much was taken quickly; `full` says that it was as much as was allowed."""
        self.slow(amount)
        if not full:
            return
        larger = min(2 * self.size, self.maximum)
        if self._failed is None or larger < self._failed:
            self.size = larger
            return
        self._taken += 1
        if self._taken >= self._patience:
            self._taken, self.size = 0, max(self.size, min(self._failed, self.maximum))

    def slow(self, amount: int) -> None:
        """Note that so much was taken, but not quickly."""
        self._failing = False
        if self._failed is not None and amount >= self._failed:
            self._failed, self._patience = None, FIRST_PATIENCE

    def failed(self, amount: int) -> None:
        """Note that so much failed: half of it is tried next.

        What fails in a row, with nothing taken in between, may be an outage: it shrinks the next
        batch, and only the first of it is remembered.
        """
        if not self._failing and amount > 1:
            if self._failed is not None and amount >= self._failed:
                self._patience = min(2 * self._patience, MAX_PATIENCE)
            self._failed = amount if self._failed is None else min(self._failed, amount)
        self._failing, self._taken = True, 0
        self.size = max(1, min(self.size, amount // 2))


@attrs.define
class AdaptiveBatchSize:
    """The most results of a batch, and the most bytes of its body, that one output is sent."""

    results: SizeLimit = attrs.Factory(lambda: SizeLimit(BATCH_RESULTS, MAX_BATCH_RESULTS))
    body: SizeLimit = attrs.Factory(lambda: SizeLimit(MAX_BODY_BYTES, MAX_BODY_BYTES))

    def taken(self, results: int, body_bytes: int, seconds: float) -> None:
        """Note that a batch was taken in so many seconds."""
        # A body is full when the next line might not have fitted: more than half is near enough.
        self.body.taken(body_bytes, full=2 * body_bytes > self.body.size)
        if seconds < QUICK_SECONDS:
            self.results.taken(results, full=results >= self.results.size)
            return
        self.results.slow(results)
        if self.results.size > BATCH_RESULTS:
            self.results.size = max(self.results.size // 2, BATCH_RESULTS)

    def failed(self, results: int) -> None:
        """Note that a batch was not answered in time, or broke the collector."""
        self.results.failed(results)

    def too_large(self, body_bytes: int) -> None:
        """Note that a body was refused whose parts were then taken."""
        self.body.slow(0)
        self.body.failed(body_bytes)
