"""The feed of one run for outputs of metrics: a cursor over its timeline. Pure.

The cursor is the end of the last window that was sent, in milliseconds from the start of the load,
because the file may be thinned at any time. Results that the timeline lacks at its end, as after a
kill of the agent, or because the run has none, come from the log as windows of their own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from datetime import datetime

from goloagent.core.timeline import Window
from goloagent.jobs.job import Job
from goloagent.outputs.attempts import Attempts
from goloagent.outputs.batch_size import AdaptiveBatchSize
from goloagent.outputs.checkpoint import Account
from goloagent.outputs.seconds import Second, SecondsBatch, Totals
from goloagent.outputs.sink import Response
from goloagent.outputs.source import RunSource
from goloagent.outputs.splits import Splits
from goloagent.outputs.timeline_tail import tail_windows
from goloagent.wal.timeline_follower import TimelineFollower

MAX_WINDOWS = 64
"""Windows of a batch."""

POLL_SECONDS = 1.0


class SecondsFeed:
    """The windows of a job from its checkpoint on.

    Args:
        open_timeline: returns the follower of a job's timeline.
        open_log: opens the log of a job's run.
    """

    def __init__(
        self,
        account: Account,
        open_timeline: Callable[[Job], TimelineFollower],
        open_log: Callable[[Job], RunSource],
    ) -> None:
        self.job = account.job
        self.account = account
        self.complete = False
        self.closed = False
        self.attempts = Attempts()
        self.batches: deque[SecondsBatch] = deque()
        self._timeline = open_timeline(account.job)
        self._open_log = open_log
        self._log: RunSource | None = None
        self._now = self._poll_at = 0.0
        self._restarts = 0
        self._is_finished = False
        self._splits = Splits()
        self._forget()

    def _forget(self) -> None:
        """Begin again at the beginning of the timeline."""
        self._totals = Totals()  # up to the last batch
        self._read_end = 0  # of the last window that was read
        self._ahead: deque[Second] = deque()  # windows read, and in no batch
        self._tail: Iterator[None] | None = None
        self._is_exhausted = False

    # The interface of a feed.

    def on_appended(self, now: float) -> bool:
        """Do nothing: a timeline grows each second, with or without results."""
        return False

    def due_in(self, now: float, at_once: bool) -> float:
        """Return the seconds until the next window is looked for."""
        self._now = now
        return 0.0 if self.batches or self.complete else max(0.0, self._poll_at - now)

    def open(self) -> None:
        """Do nothing: the timeline has no name that is replaced by another run's."""

    def load_steps(self, size: AdaptiveBatchSize) -> Iterator[None]:
        """Read in steps what `next` returns.

        Raises:
            OSError: the timeline or the log cannot be read.
        """
        if self.batches or self._is_finished:
            return
        exists = self._timeline.poll()
        if self._timeline.restarts != self._restarts:
            self._restarts = self._timeline.restarts
            self._forget()
        limit = self._limit(size)
        while exists and len(self._ahead) < limit and (windows := self._timeline.read()):
            for window in windows:
                self._append(window)
                yield
        if self.complete and len(self._ahead) < limit:
            if self._tail is None:
                self._tail = self._tail_steps()
            while len(self._ahead) < limit and next(self._tail, self) is None:
                yield
            self._is_exhausted = len(self._ahead) < limit

    def next(self, size: AdaptiveBatchSize) -> SecondsBatch | None:
        """Return the batch to push next, or None if there is none yet, or none any more."""
        if not self.batches:
            if self._is_finished:
                return None
            batch = self._take(self._limit(size))
            if batch.is_empty:
                self._poll_at = self._now + POLL_SECONDS
                self._is_finished = self._is_exhausted
                return None
            self.batches.append(batch)
        while (first := self.batches[0]).units > 1 and (
            first.units > self._limit(size) or first.body_bytes > size.body.size
        ):
            self._halve()
        return self.batches[0]

    def split(self) -> None:
        """Replace the first batch, which was refused as a whole, by its halves."""
        first = self.batches[0]
        self._splits.add(first.end, first.body_bytes, self.account.results.rejected)
        self._halve()

    def _halve(self) -> None:
        self.batches.extendleft(reversed(self.batches.popleft().halves()))

    def reject(self, response: Response) -> None:
        """Write the first batch, of one window, to the file of rejected results.

        Raises:
            OSError: it cannot be written.
        """
        self._opened_log().reject(self.batches[0], response)
        self.attempts.rejections += 1

    def commit(self, delivered: int = 0, rejected: int = 0) -> list[int]:
        """Commit the first batch; return the sizes of refused bodies all of whose parts passed."""
        batch = self.batches.popleft()
        self.account.advance(batch.end, delivered, rejected)
        self._is_finished = self._is_finished or batch.is_last
        results = self.account.results
        return self._splits.passed(results.committed, results.rejected)

    def release(self) -> None:
        """Drop the batches and all that was read, to continue at the checkpoint later."""
        self.batches.clear()
        self._splits.clear()
        self.close()
        self._forget()

    def close(self) -> None:
        """Close the files."""
        self._timeline.close()
        if self._log is not None:
            self._log.close()
        self._log = None

    @property
    def is_finished(self) -> bool:
        """Whether everything that there is was sent."""
        return self._is_finished

    def missing(self) -> int:
        """Return the number of results that are neither in the timeline nor in the log."""
        return self.account.results.pending if self._is_finished else 0

    def describe_missing(self, missing: int) -> str:
        """Return the sentence about results that are nowhere."""
        return (
            f"the timeline of job {self.job.id} is incomplete: {missing} results are in none of its"
            " seconds, and count as abandoned"
        )

    # Reading.

    def _limit(self, size: AdaptiveBatchSize) -> int:
        return min(MAX_WINDOWS, size.results.size, self.attempts.max_results)

    def _opened_log(self) -> RunSource:
        if self._log is None:
            self._log = self._open_log(self.job)
        return self._log

    @property
    def _start(self) -> datetime:
        """The start of the load; of the job, if the run has no timeline."""
        return self._timeline.start or self.job.started_at or self.job.queued_at

    def _append(self, window: Window) -> None:
        """Keep a window that was read, unless it was sent."""
        end = max(round((window.at + window.seconds) * 1000), self._read_end + 1)
        self._read_end = end
        if end > self.account.checkpoint.committed:
            self._ahead.append(Second(window, end))
        else:
            self._totals.add(window)

    def _take(self, limit: int) -> SecondsBatch:
        results, committed = self.account.results, self.account.checkpoint.committed
        seconds = tuple(self._ahead.popleft() for _ in range(min(limit, len(self._ahead))))
        batch = SecondsBatch(
            start=self._start,
            model=self.job.spec.profile.model,
            first=committed,
            seconds=seconds,
            before=self._totals.copy(),
            accounted=results.delivered + results.rejected + results.abandoned,
            is_last=self._is_exhausted and not self._ahead and self._read_end > 0,
        )
        for second in seconds:
            self._totals.add(second.window)
        return batch

    def _tail_steps(self) -> Iterator[None]:
        """Append windows of the results that the timeline does not have at its end."""
        known = self._totals.results + sum(second.window.results for second in self._ahead)
        if known >= self.account.results.valid or self._timeline.is_lossy:
            return
        windows = tail_windows(
            self.job, self._opened_log(), self._start, self._read_end / 1000, known
        )
        for window in windows:
            if window is not None:
                self._append(window)
            yield
