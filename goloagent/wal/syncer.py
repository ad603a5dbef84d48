"""Has the disk take what was written: the logs that have grown, then the committed offsets.

Twice a second and off the reactor thread, so that a power cut costs half a second of results. The
log goes first, so that an offset is hardly ever durable before the results it covers. What is
answered for does not wait for the half second: see `WalSyncer.commit`. A sync that failed is final:
what was not taken is gone from memory too, and a second one would succeed without it. Anything else
that goes wrong is tried again.
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
# A disk that takes longer is reported.
MAX_SYNC_SECONDS = 10.0


class Log(Protocol):
    """A log being written."""

    size: int

    @property
    def closed(self) -> bool:
        """Whether nothing will be written any more."""


class Sync(Protocol):
    """Makes one log durable, from any thread."""

    def sync(self) -> None:
        """Have the disk take it, or raise SyncFailed."""

    def close(self) -> None:
        """Let go of it."""


@attrs.define
class _Followed:
    log: Log
    sync: Sync
    synced_size: int


class WalSyncer:
    """Syncs the logs it follows and `database`, with the `files` that its rows name.

    Args:
        in_thread: runs a function off the reactor thread.
        save_again: saves what could not be saved before.
        failed: told once, with a sentence, when the disk did not take something.
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
        self._followed: list[_Followed] = []
        self.loop = Periodic(clock, SYNC_SECONDS, "sync", self._tick, MAX_SYNC_SECONDS)
        self._broken = False

    def start(self) -> None:
        """Begin."""
        self.loop.start()

    async def stop(self) -> None:
        """Sync what there is a last time, and let go of everything."""
        await self.loop.stop()
        try:
            await self._tick()
        except Exception as error:
            self._log.error("the last sync cannot be made: {error}", error=error)
        for followed in self._followed:
            followed.sync.close()
        self._followed = []

    def track(self, log: Log, sync: Sync) -> Deferred[None]:
        """Sync `log` by `sync` from now on; fires when it is durable that the log is there.

        `sync` is closed when the log is closed and synced, or if the log cannot be followed. To
        cancel what this returns leaves the thread at its work.
        """
        following: Deferred[None] = Deferred(lambda _: None)
        size = log.size

        def end(outcome: Any) -> None:
            if isinstance(outcome, Failure):
                if isinstance(outcome.value, SyncFailed):
                    self._fail(outcome.value)
                sync.close()
            elif following.called:  # cancelled
                sync.close()
            else:
                self._followed.append(_Followed(log, sync, size))
            if not following.called:
                following.callback(outcome)

        maybeDeferred(self._in_thread, sync.sync).addBoth(end)
        return following

    async def save(self, change: Callable[[], None]) -> None:
        """Save a change and return when it is durable.

        Raises:
            OSError: it is not saved, or may not be durable.
        """
        await self.writable()
        change()
        await self.commit()

    async def writable(self) -> None:
        """Wait a moment for another process that has locked the database.

        Raises:
            OSError: it cannot be written.
        """
        await self._commits.writable()

    async def commit(self) -> None:
        """Return when all that was saved by now is durable: what is answered for waits for this.

        Raises:
            OSError: it may not be.
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
        if self._broken:
            return
        try:
            self._save_again()
            for followed in list(self._followed):
                await self._sync_log(followed)
            if self._commits.needed:
                await self._commits.durable()
        except SyncFailed as error:
            self._fail(error)

    async def _sync_log(self, followed: _Followed) -> None:
        # The order matters: a log that is closed has reached its size.
        closed, size = followed.log.closed, followed.log.size
        if size != followed.synced_size:
            await self._in_thread(followed.sync.sync)
            followed.synced_size = size
        if closed:
            followed.sync.close()
            self._followed.remove(followed)

    def _fail(self, error: SyncFailed) -> None:
        if self._broken:
            return
        self._broken = True
        self.loop.stop()
        self._failed(f"the disk did not take what was written: {error}")
