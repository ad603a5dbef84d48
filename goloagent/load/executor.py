"""Executors: how many calls start, at the beginning and as others return."""

from __future__ import annotations

from typing import Protocol

import attrs


class Executor(Protocol):
    """Decides how many calls start now; the RPC client makes them."""

    def start(self) -> int:
        """Return the number of calls to start with."""

    def on_replies(self, count: int) -> int:
        """Return the number of calls to start after `count` others have returned."""


@attrs.frozen
class ClosedLoop:
    """Keeps one call of each user in flight: each reply starts the next call."""

    users: int

    def start(self) -> int:
        """Return one call for each user."""
        return self.users

    def on_replies(self, count: int) -> int:
        """Return as many calls as have returned."""
        return count
