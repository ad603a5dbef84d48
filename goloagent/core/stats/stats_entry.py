"""The results of one row, URL or window: their number, errors, bytes and durations."""

from __future__ import annotations

from goloagent.core.stats.histogram import Histogram

# Sizes and their sum are int64; only a broken load test exceeds the sum.
MAX_BYTES = 2**63 - 1


class StatsEntry:
    """Totals, and `pending` results that are not in them yet.

    `pending` has the duration and the known size, or 0, of each result in turn; `pending_errors` of
    them are errors.

    Args:
        also: further entries that get all its results.
    """

    __slots__ = (
        "_also",
        "_bytes",
        "_histograms",
        "durations",
        "errors",
        "pending",
        "pending_errors",
    )

    def __init__(self, *also: StatsEntry) -> None:
        self._also = also
        self._histograms: list[Histogram] = [entry.durations for entry in also]
        self.pending: list[int] = []
        self.pending_errors = 0
        self.durations: Histogram = Histogram()
        self.errors = 0
        self._bytes = 0

    @property
    def results(self) -> int:
        """The number of results, pending ones too."""
        return self.durations.count + len(self.pending) // 2

    @property
    def bytes(self) -> int:
        """The sum of the known sizes, at most 2**63 - 1."""
        return min(self._bytes, MAX_BYTES)

    def flush(self) -> None:
        """Add the pending results to the totals."""
        pending = self.pending
        if not pending:
            return
        size, errors = sum(pending[1::2]), self.pending_errors
        self.durations.record(pending[::2], *self._histograms)
        self.errors += errors
        self._bytes += size
        for entry in self._also:
            entry.errors += errors
            entry._bytes += size
        pending.clear()
        self.pending_errors = 0

    def merge(self, other: StatsEntry) -> None:
        """Add the results of another entry."""
        other.flush()
        self.durations.merge(other.durations)
        self.errors += other.errors
        self._bytes += other._bytes

    def take(self) -> tuple[int, int, Histogram]:
        """Return the errors, the bytes and the durations, and forget them."""
        taken = self.errors, self.bytes, self.durations.take()
        self.errors = self._bytes = 0
        return taken
