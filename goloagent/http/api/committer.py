"""The durability that a response waits for."""

from __future__ import annotations

from typing import Protocol


class Committer(Protocol):
    """Commits changes; both methods raise OSError if the disk fails."""

    async def writable(self) -> None:
        """Wait until the database can be written: another process may lock it for a moment."""

    async def commit(self) -> None:
        """Wait until all saved changes are durable."""
