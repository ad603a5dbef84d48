"""One run on its way to one output: its log, the place in it, and the batches taken from there.

The log of a run that is over is open, and a window of it in memory, only from the first batch on
and until the feed is released: so any number of runs may wait. Knows neither the output nor a
clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Protocol

import attrs

from goloagent.jobs.job import Job
from goloagent.outputs.batch import Batch
from goloagent.outputs.batch_size import BATCH_RESULTS, MAX_BATCH_RESULTS, AdaptiveBatchSize
from goloagent.outputs.cursor import Cursor
from goloagent.outputs.retry import Backoff
from goloagent.outputs.sink import Response
from goloagent.outputs.status import OK

BATCH_SECONDS = 1.0
# With so many pending a run is behind.
_BEHIND_RESULTS = 4 * BATCH_RESULTS
# A run that fails so often in a row, while others are taken, is tried as one that is refused.
FREE_RETRIES = 5


class RunSource(Protocol):
    """A run's log, to be read and to note in what the collector refused."""

    def read(self, offset: int, count: int) -> bytes:
        """Return up to `count` bytes from `offset`; fewer only at the end."""

    def size(self) -> int:
        """Return how many bytes there are."""

    def version(self) -> tuple[int, int, int]:
        """Return the device and inode of the file, and when it was changed last."""

    def reject(self, batch: Batch, answer: Response) -> None:
        """Keep refused results where a person finds them."""

    def close(self) -> None:
        """Close it."""


@attrs.frozen
class _Split:
    """A batch up to `end` that was refused as a whole, when the run had so many rejections."""

    end: int
    body_bytes: int
    rejected: int


class RunFeed:
    """The results of `job` from what is committed on, in the log that `open_log` opens.

    ``batches`` are taken from the log and not committed. ``state`` and ``error`` are of this run
    alone, which is not tried before ``resume_at``. ``refusals`` are its refused results, less those
    delivered since; ``failures`` are its pushes without an answer that counts, in a row, the last
    of them when the output had taken ``failed_after`` pushes. It is ``proven`` once the output has
    taken results of it and refused none since, and ``closed`` when nothing is to be delivered any
    more.
    """

    def __init__(self, job: Job, open_log: Callable[[Job], RunSource]) -> None:
        self.job = job
        self.complete = False
        self.closed = False
        self.proven = False
        self.state = OK
        self.error: str | None = None
        self.resume_at = 0.0
        self.refusals = 0
        self.failures = 0
        self.failed_after: int | None = None
        self.backoff = Backoff()
        self.batches: deque[Batch] = deque()
        self._open_log = open_log
        self._log: RunSource | None = None
        self._cursor: Cursor | None = None
        self._is_intact = True
        self._most = MAX_BATCH_RESULTS
        self._splits: list[_Split] = []
        self._waiting_since: float | None = None
        # Where the batch ends that was perhaps sent: what is sent again does not reach beyond it.
        self._until: int | None = None

    @property
    def is_probe(self) -> bool:
        """Whether the next push will probably be refused, and is to wait for a probe's turn."""
        return self.error is not None and (not self.failures or self.failures > FREE_RETRIES)

    def on_appended(self, now: float) -> bool:
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
        # All that is overdue is alike: the feeds take turns.
        return max(0.0, due - now)

    def open(self) -> None:
        """Open the log; while it grows it stays open, whatever becomes of its name.

        Raises:
            OSError: it cannot be opened.
        """
        if self._log is None:
            self._log = self._open_log(self.job)
        if self._cursor is None:
            self._cursor = Cursor(self._read, self.job.results.committed, self._verified_range)

    def load(self, size: AdaptiveBatchSize) -> Iterator[None]:
        """Read and decode, in steps, what `next` returns; it would do the same in one go.

        Raises:
            OSError: the log cannot be read.
        """
        if self.batches or (self.complete and not self.job.results.pending):
            return
        most = self._at_most(min(size.results.size, self._most))
        yield from self._ready_cursor().load_steps(most, self.complete, self._until)

    def next(self, size: AdaptiveBatchSize) -> Batch | None:
        """Return the batch to be pushed next, or None when the log has no more.

        A new one has 256 results, or when the run is behind up to what `size` allows. None is
        larger than that, also when it was before.

        Raises:
            OSError: the log cannot be read.
        """
        most = min(size.results.size, self._most)
        if not self.batches:
            batch = self._take(most, size.body.size)
            if batch is None:
                return None
            self.batches.append(batch)
        while (first := self.batches[0]).results > 1 and (
            first.results > most or first.body_bytes > size.body.size
        ):
            self._halve()
        return self.batches[0]

    def split(self) -> None:
        """Have the two halves of the first batch come in its place, as the whole was refused."""
        first = self.batches[0]
        self._splits.append(_Split(first.end, first.body_bytes, self.job.results.rejected))
        self._halve()

    def reject(self, answer: Response) -> None:
        """Note that the first batch, of one result, is refused.

        Raises:
            OSError: it cannot be noted.
        """
        assert self._log is not None
        self._log.reject(self.batches[0], answer)
        self.refusals += 1

    def commit(self, delivered: int = 0, rejected: int = 0) -> list[int]:
        """Go past the first batch; return the sizes of refused bodies whose parts were all taken.

        A log that was changed by others may have more results than were counted: the account of
        the run does not follow it.
        """
        checkpoint = self.job.checkpoint
        checkpoint.delivered += min(delivered, self.job.results.pending)
        checkpoint.rejected += min(rejected, self.job.results.pending)
        checkpoint.committed = self.batches.popleft().end
        too_large = []
        while self._splits and self._splits[-1].end <= checkpoint.committed:
            split = self._splits.pop()
            if split.rejected == checkpoint.rejected:
                too_large.append(split.body_bytes)
        return too_large

    def missing(self) -> int:
        """Return how many results were counted in the log and are not in it any more.

        That is known when all that was counted is passed: then nothing is pending.
        """
        results = self.job.results
        return results.pending if results.committed >= self.job.verified_range.stop else 0

    def shrink(self, failed: int) -> None:
        """Make batches of this run smaller, as one of so many results has failed."""
        self._most = max(1, failed // 2)

    def succeed(self) -> None:
        """Note that the output has taken results of this run."""
        self.proven = True
        self.state, self.error = OK, None
        self.failures, self.failed_after = 0, None
        self.backoff.reset()
        self._most = min(2 * self._most, MAX_BATCH_RESULTS)

    def pause(self, state: str, error: str, resume_at: float) -> None:
        """Show an error at this run and keep none of its results in memory until it resumes."""
        self.state, self.error, self.resume_at = state, error, resume_at
        self.release()

    def release(self) -> None:
        """Keep no results: it begins again at what is committed. A log that is complete closes."""
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

    def _take(self, most: int, most_bytes: int) -> Batch | None:
        pending = self.job.results.pending
        if self.complete and not pending:
            return None
        cursor = self._ready_cursor()
        most = self._at_most(most)
        batch = cursor.next(most, self.complete, self._until, most_bytes)
        self._until = None
        if batch is None and cursor.offset < self.job.verified_range.stop:
            # What was counted there is gone.
            batch = cursor.skip(self.job.verified_range.stop)
        if batch is None or batch.results == pending:
            self._waiting_since = None
        return batch

    def _ready_cursor(self) -> Cursor:
        self.open()
        assert self._cursor is not None
        assert self._log is not None
        self._is_intact = (
            self._log.version() == self.job.log_version
            and self._log.size() >= self.job.verified_range.stop
        )
        return self._cursor

    def _at_most(self, most: int) -> int:
        behind = self.job.results.pending >= _BEHIND_RESULTS
        return most if behind else min(most, BATCH_RESULTS)

    def _read(self, offset: int, count: int) -> bytes:
        """Read no further than lines are counted: what is behind them is not the run's."""
        assert self._log is not None
        return self._log.read(offset, max(0, min(count, self.job.verified_range.stop - offset)))

    def _verified_range(self) -> range:
        return self.job.verified_range if self._is_intact else range(0)
