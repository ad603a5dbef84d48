"""Makes what the database has saved durable before it is answered for: group commit.

All who wait share one sync, off the reactor thread. One that is under way may have begun before the
newest change, so whoever comes meanwhile waits for the next.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.defer import Deferred, fail, maybeDeferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from goloagent.durable import SyncFailed

# For so long a change waits for another process that has locked the database.
LOCKED_SECONDS = 2.0
RETRY_SECONDS = 0.05


class Database(Protocol):
    """What holds the changes."""

    @property
    def changes(self) -> int:
        """Grows with every change."""

    def check_writable(self) -> None:
        """Check that a change could be saved now, or raise OSError."""

    def sync(self) -> None:
        """Have the disk take what was saved, on any thread, or raise SyncFailed."""


class Commits:
    """Commits the changes of `database`; `in_thread` runs a function off the reactor thread."""

    def __init__(
        self, clock: IReactorTime, in_thread: Callable[..., Deferred[Any]], database: Database
    ) -> None:
        self._clock = clock
        self._in_thread = in_thread
        self._database = database
        self._waiting: list[Deferred[None]] = []
        self._syncing = False
        self._synced_changes = -1
        self._failure: Failure | None = None

    @property
    def needed(self) -> bool:
        """Whether something was saved that is not durable yet."""
        return self._database.changes != self._synced_changes

    async def writable(self) -> None:
        """Wait until the database can be written.

        Raises:
            OSError: it cannot; with EBUSY, another process has kept it locked.
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
        """Return a Deferred that fires when everything saved by now is durable.

        It may be cancelled, and fails with SyncFailed if the disk did not take it.
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
        changes = self._database.changes
        synced = maybeDeferred(self._in_thread, self._database.sync)
        synced.addBoth(self._synced, changes, waiting)

    def _synced(self, outcome: Any, changes: int, waiting: list[Deferred[None]]) -> None:
        self._syncing = False
        if not isinstance(outcome, Failure):
            self._synced_changes, outcome = changes, None
        elif outcome.check(SyncFailed):
            self._failure = outcome
            waiting, self._waiting = waiting + self._waiting, []
        if self._waiting:
            self._sync()
        for one in waiting:
            if not one.called:  # else it was cancelled
                one.callback(outcome)
