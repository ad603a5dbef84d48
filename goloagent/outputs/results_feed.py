"""The feed of one run for outputs of results: a cursor over its log, and the batches from there.

The log of a run that is over is open, with a window of it in memory, only from its first batch to
the release of the feed, so any number of runs may wait.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

from goloagent.jobs.job import Job
from goloagent.outputs.attempts import Attempts
from goloagent.outputs.batch import Batch
from goloagent.outputs.batch_size import AdaptiveBatchSize
from goloagent.outputs.checkpoint import Account
from goloagent.outputs.cursor import WINDOW_BYTES, Cursor
from goloagent.outputs.sink import BatchLimits, Response
from goloagent.outputs.source import RunSource
from goloagent.outputs.splits import Splits
from goloagent.results.parser import MAX_BODY_BYTES

# A run lags with so many full batches pending, and its batches may grow.
_LAGGING_BATCHES = 4


class ResultsFeed:
    """The results of a job from its checkpoint on, in the log that `open_log` opens.

    ``batches`` are taken from the log and not committed.
    """

    def __init__(
        self,
        account: Account,
        open_log: Callable[[Job], RunSource],
        limits: BatchLimits,
    ) -> None:
        self.job = account.job
        self.account = account
        self._limits = limits
        self.complete = False
        self.closed = False
        self.attempts = Attempts()
        self.batches: deque[Batch] = deque()
        self._open_log = open_log
        self._log: RunSource | None = None
        self._cursor: Cursor | None = None
        self._is_unchanged = True
        self._splits = Splits()
        self._waiting_since: float | None = None
        self._appended_at = 0.0
        # The end of a batch that may have been sent: the repeat must not be longer.
        self._until: int | None = None

    def on_appended(self, now: float) -> bool:
        """Note that the log has grown; return whether the next batch is due earlier."""
        self._appended_at = now
        if self._waiting_since is None and self.account.results.pending:
            self._waiting_since = now
            return True
        return self._is_batch_full

    def due_in(self, now: float, at_once: bool) -> float:
        """Return the seconds until the next batch closes; `at_once` if it must not wait."""
        if self.batches or self.complete or self._until is not None:
            due = 0.0
        elif self._waiting_since is None:
            return float("inf")
        elif at_once or self._is_batch_full:
            due = 0.0
        else:
            due = self._waiting_since + self._limits.seconds
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
            self._cursor = Cursor(self._read, self.account.results.committed, self._verified_range)

    def load_steps(self, size: AdaptiveBatchSize) -> Iterator[None]:
        """Read and parse in steps what `next` returns.

        Raises:
            OSError: the log cannot be read.
        """
        if self.batches or (self.complete and not self.account.results.pending):
            return
        max_results = self._new_batch_size(size)
        yield from self._ready_cursor().load_steps(max_results, self.complete, self._until)

    def next(self, size: AdaptiveBatchSize) -> Batch | None:
        """Return the batch to push next, or None at the end of the log.

        A new batch has at most the results of the limits, or what `size` allows if the run lags. A
        batch that exceeds `size` is split.

        Raises:
            OSError: the log cannot be read.
        """
        max_results = min(size.results.size, self.attempts.max_results)
        if not self.batches:
            batch = self._take(self._new_batch_size(size), self._max_bytes(size))
            if batch is None:
                return None
            self.batches.append(batch)
        while (first := self.batches[0]).results > 1 and (
            first.results > max_results or first.body_bytes > self._max_bytes(size)
        ):
            self._halve()
        return self.batches[0]

    def split(self) -> None:
        """Replace the first batch, which was refused as a whole, by its halves."""
        first = self.batches[0]
        self._splits.add(first.end, first.body_bytes, self.account.results.rejected)
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
        self.account.advance(self.batches.popleft().end, delivered, rejected)
        results = self.account.results
        return self._splits.passed(results.committed, results.rejected)

    @property
    def is_finished(self) -> bool:
        """Whether the log, which has no next batch, does not grow."""
        return self.complete

    def missing(self) -> int:
        """Return the number of results that are no longer in the log."""
        return self.account.missing()

    def describe_missing(self, missing: int) -> str:
        """Return the sentence about results that are gone."""
        return (
            f"out.log of job {self.job.id} was changed by another program: {missing} results that"
            " were not delivered are gone from it, and count as abandoned"
        )

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

    @property
    def _is_batch_full(self) -> bool:
        results = self.account.results
        return (
            results.pending >= self._limits.max_results
            or self.job.verified_range.stop - results.committed >= WINDOW_BYTES
        )

    def _halve(self) -> None:
        self.batches.extendleft(reversed(self.batches.popleft().halves()))

    def _take(self, max_results: int, max_bytes: int) -> Batch | None:
        pending = self.account.results.pending
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
        elif batch.results >= self._limits.max_results or 2 * batch.body_bytes > MAX_BODY_BYTES:
            self._waiting_since = self._appended_at  # the rest is the beginning of another batch
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
        is_lagging = self.account.results.pending >= _LAGGING_BATCHES * self._limits.max_results
        return max_results if is_lagging else min(max_results, self._limits.max_results)

    def _max_bytes(self, size: AdaptiveBatchSize) -> int:
        return min(size.body.size, self._limits.max_bytes)

    def _read(self, offset: int, count: int) -> bytes:
        """Read up to the end of the counted lines; later bytes are not the run's."""
        assert self._log is not None
        return self._log.read(offset, max(0, min(count, self.job.verified_range.stop - offset)))

    def _verified_range(self) -> range:
        return self.job.verified_range if self._is_unchanged else range(0)
