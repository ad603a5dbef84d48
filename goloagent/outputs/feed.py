"""The feed of one run: its log, the offset in it, and the batches taken from there.

The log of a run that is over is open, with a window of it in memory, only from its first batch to
the release of the feed, so any number of runs may wait.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

import attrs

from goloagent.jobs.job import Job
from goloagent.outputs import checkpoint
from goloagent.outputs.attempts import Attempts
from goloagent.outputs.batch import Batch
from goloagent.outputs.batch_size import BATCH_RESULTS, AdaptiveBatchSize
from goloagent.outputs.cursor import Cursor
from goloagent.outputs.sink import Response
from goloagent.outputs.source import RunSource

BATCH_SECONDS = 1.0
# From this number of pending results on, batches may grow.
_LAGGING_RESULTS = 4 * BATCH_RESULTS


@attrs.frozen
class _Split:
    """A batch up to `end` that was refused as a whole, when the run had `rejected` rejections."""

    end: int
    body_bytes: int
    rejected: int


class RunFeed:
    """The results of `job` from its checkpoint on, in the log that `open_log` opens.

    ``batches`` are taken from the log and not committed. ``complete`` says that the log does not
    grow, and ``closed`` that nothing more is delivered.
    """

    def __init__(self, job: Job, open_log: Callable[[Job], RunSource]) -> None:
        self.job = job
        self.complete = False
        self.closed = False
        self.attempts = Attempts()
        self.batches: deque[Batch] = deque()
        self._open_log = open_log
        self._log: RunSource | None = None
        self._cursor: Cursor | None = None
        self._is_unchanged = True
        self._splits: list[_Split] = []
        self._waiting_since: float | None = None
        # The end of a batch that may have been sent: the repeat must not be longer.
        self._until: int | None = None

    def on_appended(self, now: float) -> bool:
        """Note that the log has grown; return whether the next batch is due earlier."""
        pending = self.job.results.pending
        if self._waiting_since is None and pending:
            self._waiting_since = now
            return True
        return pending >= BATCH_RESULTS

    def due_in(self, now: float, at_once: bool) -> float:
        """Return the seconds until the next batch closes; `at_once` if it must not wait."""
        if self.batches or self.complete or self._until is not None:
            due = 0.0
        elif self._waiting_since is None:
            return float("inf")
        elif at_once or self.job.results.pending >= BATCH_RESULTS:
            due = 0.0
        else:
            due = self._waiting_since + BATCH_SECONDS
        # All overdue feeds are equal, so that they take turns.
        return max(0.0, due - now)

    def open(self) -> None:
        """Open the log.

        Raises:
            OSError: it cannot be opened.
        """
        if self._log is None:
            self._log = self._open_log(self.job)
        if self._cursor is None:
            self._cursor = Cursor(self._read, self.job.results.committed, self._verified_range)

    def load_steps(self, size: AdaptiveBatchSize) -> Iterator[None]:
        """Read and parse in steps what `next` returns.

        Raises:
            OSError: the log cannot be read.
        """
        if self.batches or (self.complete and not self.job.results.pending):
            return
        max_results = self._new_batch_size(size)
        yield from self._ready_cursor().load_steps(max_results, self.complete, self._until)

    def next(self, size: AdaptiveBatchSize) -> Batch | None:
        """Return the batch to push next, or None at the end of the log.

        A new batch has at most 256 results, or what `size` allows if the run lags. A batch that
        exceeds `size` is split.

        Raises:
            OSError: the log cannot be read.
        """
        max_results = min(size.results.size, self.attempts.max_results)
        if not self.batches:
            batch = self._take(self._new_batch_size(size), size.body.size)
            if batch is None:
                return None
            self.batches.append(batch)
        while (first := self.batches[0]).results > 1 and (
            first.results > max_results or first.body_bytes > size.body.size
        ):
            self._halve()
        return self.batches[0]

    def split(self) -> None:
        """Replace the first batch, which was refused as a whole, by its halves."""
        first = self.batches[0]
        self._splits.append(_Split(first.end, first.body_bytes, self.job.results.rejected))
        self._halve()

    def reject(self, response: Response) -> None:
        """Write the first batch, of one result, to the file of rejected results.

        Raises:
            OSError: it cannot be written.
        """
        assert self._log is not None
        self._log.reject(self.batches[0], response)
        self.attempts.rejections += 1

    def commit(self, delivered: int = 0, rejected: int = 0) -> list[int]:
        """Commit the first batch; return the sizes of refused bodies all of whose parts passed."""
        checkpoint.advance(self.job, self.batches.popleft().end, delivered, rejected)
        results = self.job.results
        too_large = []
        while self._splits and self._splits[-1].end <= results.committed:
            split = self._splits.pop()
            if split.rejected == results.rejected:
                too_large.append(split.body_bytes)
        return too_large

    def release(self) -> None:
        """Drop the batches, to continue at the checkpoint later. A complete log is closed."""
        if self.batches:
            self._until = self.batches[0].end
        self.batches.clear()
        self._splits.clear()
        self._cursor = None
        if self.complete:
            self.close()

    def close(self) -> None:
        """Close the log."""
        if self._log is not None:
            self._log.close()
        self._log = self._cursor = None

    def _halve(self) -> None:
        self.batches.extendleft(reversed(self.batches.popleft().halves()))

    def _take(self, max_results: int, max_bytes: int) -> Batch | None:
        pending = self.job.results.pending
        if self.complete and not pending:
            return None
        cursor = self._ready_cursor()
        batch = cursor.next(max_results, self.complete, self._until, max_bytes)
        self._until = None
        counted = self.job.verified_range.stop
        if batch is None and cursor.offset < counted:
            batch = cursor.skip(counted)  # the counted lines are gone
        if batch is None or batch.results == pending:
            self._waiting_since = None
        return batch

    def _ready_cursor(self) -> Cursor:
        self.open()
        assert self._cursor is not None
        assert self._log is not None
        self._is_unchanged = (
            self._log.version() == self.job.log_version
            and self._log.size() >= self.job.verified_range.stop
        )
        return self._cursor

    def _new_batch_size(self, size: AdaptiveBatchSize) -> int:
        max_results = min(size.results.size, self.attempts.max_results)
        is_lagging = self.job.results.pending >= _LAGGING_RESULTS
        return max_results if is_lagging else min(max_results, BATCH_RESULTS)

    def _read(self, offset: int, count: int) -> bytes:
        """Read up to the end of the counted lines; later bytes are not the run's."""
        assert self._log is not None
        return self._log.read(offset, max(0, min(count, self.job.verified_range.stop - offset)))

    def _verified_range(self) -> range:
        return self.job.verified_range if self._is_unchanged else range(0)
