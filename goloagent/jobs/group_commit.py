"""Group commit: requests wait for one shared sync that makes their changes durable.

The sync runs in a worker thread. A change made while a sync runs waits for the next one.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from twisted.internet.defer import Deferred, fail, maybeDeferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from goloagent.filesystem.durable import SyncFailed

# How long a change waits for another process that has locked the database.
LOCKED_SECONDS = 2.0
RETRY_SECONDS = 0.05


class Database(Protocol):
    """The database with the changes."""

    @property
    def changes(self) -> int:
        """A number that grows with every change."""

    def check_writable(self) -> None:
        """Check that a change could be saved now, or raise OSError."""

    def sync(self) -> None:
        """Flush the saved changes, in any thread, or raise SyncFailed."""


class Files(Protocol):
    """The files that rows of the database name."""

    @property
    def changes(self) -> int:
        """A number that grows with every change."""

    def sync(self) -> None:
        """Flush the directory entries of the files, in any thread, or raise SyncFailed."""

    def committed(self, change: int) -> None:
        """Note that the database has made this change and all earlier ones durable."""


class GroupCommit:
    """Commits the changes of `files` and then of `database`, so that no row is without its file.

    Args:
        in_thread: runs a function in a worker thread.
    """

    def __init__(
        self,
        clock: IReactorTime,
        in_thread: Callable[..., Deferred[Any]],
        database: Database,
        files: Files,
    ) -> None:
        self._clock = clock
        self._in_thread = in_thread
        self._database = database
        self._files = files
        self._waiting: list[Deferred[None]] = []
        self._syncing = False
        self._synced = (-1, -1)
        self._failure: Failure | None = None

    @property
    def needed(self) -> bool:
        """Whether a saved change is not durable yet."""
        return self._changes != self._synced

    @property
    def _changes(self) -> tuple[int, int]:
        return self._files.changes, self._database.changes

    async def writable(self) -> None:
        """Wait until the database can be written.

        Raises:
            OSError: it cannot; with EBUSY, another process has locked it.
        """
        deadline = self._clock.seconds() + LOCKED_SECONDS
        while True:
            try:
                self._database.check_writable()
            except OSError as error:
                if error.errno != errno.EBUSY or self._clock.seconds() >= deadline:
                    raise
            else:
                return
            await deferLater(self._clock, RETRY_SECONDS)

    def durable(self) -> Deferred[None]:
        """Return a Deferred that fires when all changes so far are durable.

        It may be cancelled, and fails with SyncFailed.
        """
        if self._failure is not None:
            return fail(self._failure)
        if not self.needed:
            return succeed(None)
        waiting: Deferred[None] = Deferred()
        self._waiting.append(waiting)
        if not self._syncing:
            self._sync()
        return waiting

    def _sync(self) -> None:
        waiting, self._waiting = self._waiting, []
        self._syncing = True
        syncs = [self._database.sync]
        if self._files.changes != self._synced[0]:
            syncs.insert(0, self._files.sync)
        synced = maybeDeferred(self._in_thread, _call_all, syncs)
        synced.addBoth(self._end, self._changes, waiting)

    def _end(self, outcome: Any, changes: tuple[int, int], waiting: list[Deferred[None]]) -> None:
        self._syncing = False
        if not isinstance(outcome, Failure):
            self._synced, outcome = changes, None
            self._files.committed(changes[1])
        elif outcome.check(SyncFailed):
            self._failure = outcome
            waiting, self._waiting = waiting + self._waiting, []
        if self._waiting:
            self._sync()
        for one in waiting:
            if not one.called:  # else it was cancelled
                one.callback(outcome)


def _call_all(functions: Sequence[Callable[[], None]]) -> None:
    for function in functions:
        function()
