"""The interface of a run's log for its feed."""

from __future__ import annotations

from typing import Protocol

from goloagent.outputs.sink import Response


class RejectedBatch(Protocol):
    """A batch as the file of rejected results has it."""

    @property
    def first(self) -> int:
        """Where it begins in the log, or when in the load."""

    @property
    def end(self) -> int:
        """Where it ends, exclusive."""

    @property
    def key(self) -> str:
        """The range as ``first-last``."""

    @property
    def lines(self) -> list[bytes]:
        """The rejected results, or windows, as JSON."""


class RunSource(Protocol):
    """A run's log, and the file of its rejected results."""

    def read(self, offset: int, count: int) -> bytes:
        """Return up to `count` bytes from `offset`; fewer only at the end."""

    def size(self) -> int:
        """Return the number of bytes."""

    def version(self) -> tuple[int, int, int]:
        """Return the device and inode of the file, and the time of its last change."""

    def reject(self, batch: RejectedBatch, response: Response) -> None:
        """Write rejected results to a file that an operator can read."""

    def close(self) -> None:
        """Close it."""
