"""Syncs twice a second, in a worker thread: the logs that have grown, then the committed offsets.

So a power cut costs half a second of results, and an offset is rarely durable before its results.
`WalSyncer.commit` syncs at once. A failed sync is final, because the lost data is gone from memory
too, and a second sync would succeed without it. Other errors are retried.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any, Protocol

import attrs
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from goloagent.concurrency.periodic import Periodic
from goloagent.filesystem.durable import SyncFailed
from goloagent.jobs.group_commit import Database, Files, GroupCommit

SYNC_SECONDS = 0.5
# A slower disk is reported.
MAX_SYNC_SECONDS = 10.0


class Log(Protocol):
    """A log being written."""

    size: int

    @property
    def closed(self) -> bool:
        """Whether nothing more is written."""


class Sync(Protocol):
    """Makes one log durable, from any thread."""

    def sync(self) -> None:
        """Sync it, or raise SyncFailed."""

    def close(self) -> None:
        """Close it."""


@attrs.define
class _TrackedLog:
    log: Log
    sync: Sync
    synced_size: int


class WalSyncer:
    """Syncs the tracked logs and `database`, with the `files` that its rows name.

    Args:
        in_thread: runs a function in a worker thread.
        save_again: repeats failed saves.
        failed: called once, with a sentence, when a sync has failed.
    """

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        in_thread: Callable[..., Deferred[Any]],
        database: Database,
        files: Files,
        save_again: Callable[[], None],
        failed: Callable[[str], None],
    ) -> None:
        self._in_thread = in_thread
        self._save_again = save_again
        self._failed = failed
        self._commits = GroupCommit(clock, in_thread, database, files)
        self._tracked: list[_TrackedLog] = []
        self.loop = Periodic(clock, SYNC_SECONDS, "sync", self._tick, MAX_SYNC_SECONDS)
        self._has_failed = False

    def start(self) -> None:
        """Start the periodic sync."""
        self.loop.start()

    async def stop(self) -> None:
        """Sync a last time, and close the logs."""
        await self.loop.stop()
        try:
            await self._tick()
        except Exception as error:
            self._log.error("the last sync failed: {error}", error=error)
        for followed in self._tracked:
            followed.sync.close()
        self._tracked = []

    def track(self, log: Log, sync: Sync) -> Deferred[None]:
        """Sync `log` by `sync` from now on; fire when the new file is durable.

        `sync` is closed when the log is closed and synced, or if the first sync fails. A cancel
        does not interrupt the thread.
        """
        tracking: Deferred[None] = Deferred(lambda _: None)
        size = log.size

        def end(outcome: Any) -> None:
            if isinstance(outcome, Failure):
                if isinstance(outcome.value, SyncFailed):
                    self._fail(outcome.value)
                sync.close()
            elif tracking.called:  # cancelled
                sync.close()
            else:
                self._tracked.append(_TrackedLog(log, sync, size))
            if not tracking.called:
                tracking.callback(outcome)

        maybeDeferred(self._in_thread, sync.sync).addBoth(end)
        return tracking

    async def save(self, change: Callable[[], None]) -> None:
        """Save a change; return when it is durable.

        Raises:
            OSError: it is not saved, or may not be durable.
        """
        await self.writable()
        change()
        await self.commit()

    async def writable(self) -> None:
        """Wait a bounded time while another process locks the database.

        Raises:
            OSError: it cannot be written.
        """
        await self._commits.writable()

    async def commit(self) -> None:
        """Return when all saved changes are durable.

        Raises:
            OSError: they may not be.
        """
        try:
            await self._commits.durable()
        except SyncFailed as error:
            self._fail(error)
            raise OSError(errno.EIO, "the disk did not take it") from error
        except (OSError, CancelledError):
            raise
        except Exception as error:  # no thread can be started
            raise OSError(errno.EAGAIN, f"it cannot be synced now: {error}") from error

    async def _tick(self) -> None:
        if self._has_failed:
            return
        try:
            self._save_again()
            for followed in list(self._tracked):
                await self._sync_log(followed)
            if self._commits.needed:
                await self._commits.durable()
        except SyncFailed as error:
            self._fail(error)

    async def _sync_log(self, followed: _TrackedLog) -> None:
        # The order matters: a log that is closed has reached its size.
        closed, size = followed.log.closed, followed.log.size
        if size != followed.synced_size:
            await self._in_thread(followed.sync.sync)
            followed.synced_size = size
        if closed:
            followed.sync.close()
            self._tracked.remove(followed)

    def _fail(self, error: SyncFailed) -> None:
        if self._has_failed:
            return
        self._has_failed = True
        self.loop.stop()
        self._failed(f"the disk did not take what was written: {error}")
