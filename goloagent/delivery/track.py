"""One run on its way to the collector: its log, the place in it, and the batches taken from there.

The log is open, and a window of it in memory, only from the first batch on and until the track is
let go of: so any number of runs may wait. Knows neither the collector nor a clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

from goloagent.delivery.batch import Batch
from goloagent.delivery.cursor import Cursor
from goloagent.delivery.policy import BATCH_RESULTS, Answer
from goloagent.jobs.job import Job

BATCH_SECONDS = 1.0
# With so many pending a run is behind.
_BEHIND_RESULTS = 4 * BATCH_RESULTS


class Log(Protocol):
    """A run's log, to be read and to note in what the collector refused."""

    def read(self, offset: int, count: int) -> bytes:
        """Return up to `count` bytes from `offset`; fewer only at the end."""

    def reject(self, batch: Batch, answer: Answer) -> None:
        """Keep refused results where a person finds them."""

    def close(self) -> None:
        """Let go of it."""


class Track:
    """The results of `job` from what is committed on, in the log that `open_log` opens.

    ``batches`` are taken from the log and not settled. ``refusals`` are its refused results, less
    those delivered since. It rests until ``resume_at``.
    """

    def __init__(self, job: Job, open_log: Callable[[Job], Log]) -> None:
        self.job = job
        self.complete = False
        self.resume_at = 0.0
        self.refusals = 0
        self.batches: deque[Batch] = deque()
        self._open_log = open_log
        self._opened: tuple[Log, Cursor] | None = None
        self._waiting_since: float | None = None
        # Where the batch ends that was perhaps sent: it is sent again as it was.
        self._until: int | None = None

    def grow(self, now: float) -> bool:
        """Note that there is more in the log; tell whether that brings the next batch nearer."""
        pending = self.job.results.pending
        if self._waiting_since is None and pending:
            self._waiting_since = now
            return True
        return pending >= BATCH_RESULTS

    def due_in(self, now: float, at_once: bool) -> float:
        """Return in how many seconds the next batch closes; `at_once` waits for no results."""
        if self.batches or self.complete or self._until is not None:
            due = 0.0
        elif self._waiting_since is None:
            return float("inf")
        elif at_once or self.job.results.pending >= BATCH_RESULTS:
            due = 0.0
        else:
            due = self._waiting_since + BATCH_SECONDS
        # All that is overdue is alike: the tracks take turns.
        return max(0.0, max(due, self.resume_at) - now)

    def next(self, most: int) -> Batch | None:
        """Return the batch to be settled next, or None when the log has no more.

        A new one has 256 results, or when the run is behind up to `most`.

        Raises:
            OSError: the log cannot be read.
        """
        if not self.batches and not (self.complete and not self.job.results.pending):
            batch = self._take(most)
            if batch is not None:
                self.batches.append(batch)
        return self.batches[0] if self.batches else None

    def divide(self) -> None:
        """Have the two halves of the first batch come in its place."""
        self.batches.extendleft(reversed(self.batches.popleft().halves()))

    def reject(self, answer: Answer) -> None:
        """Note that the first batch, of one result, is refused.

        Raises:
            OSError: it cannot be noted.
        """
        assert self._opened is not None
        self._opened[0].reject(self.batches[0], answer)
        self.refusals += 1

    def settle(self, delivered: int = 0, rejected: int = 0) -> None:
        """Go past the first batch."""
        results = self.job.results
        results.delivered += delivered
        results.rejected += rejected
        results.committed = self.batches.popleft().end

    def let_go(self) -> None:
        """Close the log and keep no results: it begins again at what is committed."""
        if self._opened is not None:
            self._opened[0].close()
        self._opened = None
        if self.batches:
            self._until = self.batches[0].end
        self.batches.clear()

    def _take(self, most: int) -> Batch | None:
        if self._opened is None:
            log = self._open_log(self.job)
            self._opened = (
                log,
                Cursor(log.read, self.job.results.committed, lambda: self.job.flawless),
            )
        pending = self.job.results.pending
        if pending < _BEHIND_RESULTS:
            most = BATCH_RESULTS
        batch = self._opened[1].next(most, self.complete, self._until)
        self._until = None
        if batch is None or batch.results == pending:
            self._waiting_since = None
        return batch
