"""What an answer waits for: that the change it speaks of would survive a power cut."""

from __future__ import annotations

from typing import Protocol


class Committer(Protocol):
    """Makes changes durable; every method raises OSError when the disk does not do it."""

    async def writable(self) -> None:
        """Return when the database can be written: another process may hold it for a moment."""

    async def commit(self) -> None:
        """Return when all that was saved by now is durable."""
