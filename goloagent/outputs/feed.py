"""The interface of a feed: a cursor over what one run has for one output."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from goloagent.jobs.job import Job
from goloagent.outputs.attempts import Attempts
from goloagent.outputs.batch_size import AdaptiveBatchSize
from goloagent.outputs.checkpoint import Account
from goloagent.outputs.sink import Response
from goloagent.outputs.source import RejectedBatch


class UnitBatch(RejectedBatch, Protocol):
    """A batch of results or windows."""

    @property
    def units(self) -> int:
        """The number of what it can be divided into: results, or windows."""

    @property
    def results(self) -> int:
        """The number of results that it accounts for."""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to send."""

    @property
    def body_bytes(self) -> int:
        """The maximum length of a body."""


class Feed(Protocol):
    """The data of a run for an output, from its checkpoint on.

    Attributes:
        complete: the run is over, and nothing is added.
        closed: nothing more is delivered.
    """

    job: Job
    account: Account
    attempts: Attempts
    complete: bool
    closed: bool

    def on_appended(self, now: float) -> bool:
        """Note that the log has grown; return whether the next batch is due earlier."""

    def due_in(self, now: float, at_once: bool) -> float:
        """Return the seconds until the next batch closes; `at_once` if it must not wait."""

    def open(self) -> None:
        """Open the files whose names may be removed or replaced. Raises OSError."""

    def load_steps(self, size: AdaptiveBatchSize) -> Iterator[None]:
        """Read in steps what `next` returns. Raises OSError."""

    def next(self, size: AdaptiveBatchSize) -> Any | None:
        """Return the batch to push next, a `UnitBatch`, or None without one. Raises OSError."""

    def split(self) -> None:
        """Replace the first batch, which was refused as a whole, by its halves."""

    def reject(self, response: Response) -> None:
        """Write the first batch, of one unit, to the file of what was rejected. Raises OSError."""

    def commit(self, delivered: int = 0, rejected: int = 0) -> list[int]:
        """Commit the first batch; return the sizes of refused bodies all of whose parts passed."""

    @property
    def is_finished(self) -> bool:
        """Whether nothing follows, after `next` has returned None."""

    def missing(self) -> int:
        """Return the number of counted results that are gone."""

    def describe_missing(self, missing: int) -> str:
        """Return the sentence about that number of results."""

    def release(self) -> None:
        """Drop what was read, to continue at the checkpoint later."""

    def close(self) -> None:
        """Close the files."""
