"""Has the disk take what was written: the logs that have grown, then the committed offsets.

Twice a second and off the reactor thread, so that a power cut costs half a second of results. The
log goes first, so that an offset is hardly ever durable before the results it covers. A sync that
failed is final: what was not taken is gone from memory too, and a second one would succeed without
it. Refuses to know what the files hold.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from goloagent.jobs.job import Job
from goloagent.periodic import Periodic

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
        """Have the disk take it, or raise OSError."""

    def close(self) -> None:
        """Let go of it."""


class Offsets(Protocol):
    """Where jobs and their offsets are kept."""

    @property
    def changes(self) -> int:
        """Grows with every change."""

    def save(self, job: Job) -> None:
        """Keep a job, or raise OSError."""

    def sync(self) -> None:
        """Have the disk take it, on any thread, or raise OSError."""


@attrs.define
class _Followed:
    log: Log
    sync: Sync
    synced_size: int = -1


class Syncer:
    """Syncs the logs it follows and `offsets`.

    Args:
        in_thread: runs a function off the reactor thread.
        failed: told once, with a sentence, when the disk did not take something.
    """

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        in_thread: Callable[[Callable[[], None]], Deferred[None]],
        offsets: Offsets,
        failed: Callable[[str], None],
    ) -> None:
        self._in_thread = in_thread
        self._offsets = offsets
        self._failed = failed
        self._synced_changes = -1
        self._followed: list[_Followed] = []
        self._unsaved: dict[str, Job] = {}
        self.loop = Periodic(clock, SYNC_SECONDS, "sync", self._tick, MAX_SYNC_SECONDS)
        self._broken = False

    def start(self) -> None:
        """Begin."""
        self.loop.start()

    async def stop(self) -> None:
        """Sync what there is a last time, and let go of everything."""
        await self.loop.stop()
        await self._tick()
        for followed in self._followed:
            followed.sync.close()
        self._followed = []

    def follow(self, log: Log, sync: Sync) -> None:
        """Sync `log` by `sync`, which is closed when the log is closed and synced."""
        self._followed.append(_Followed(log, sync))

    def save(self, job: Job) -> None:
        """Keep `job` now, or else as soon as the disk takes it.

        Raises:
            OSError: it is not kept yet.
        """
        try:
            self._offsets.save(job)
        except OSError as error:
            if not self._unsaved:
                self._log.error("jobs cannot be saved: {error}", error=error)
            self._unsaved[job.id] = job
            raise
        self._unsaved.pop(job.id, None)

    async def _tick(self) -> None:
        if self._broken:
            return
        self._save_again()
        try:
            for followed in list(self._followed):
                await self._sync_log(followed)
            changes = self._offsets.changes
            if changes != self._synced_changes:
                await self._in_thread(self._offsets.sync)
                self._synced_changes = changes
        except Exception as error:
            self._broken = True
            self.loop.stop()
            self._failed(f"the disk did not take what was written: {error}")

    async def _sync_log(self, followed: _Followed) -> None:
        # The order matters: a log that is closed has reached its size.
        closed, size = followed.log.closed, followed.log.size
        if size != followed.synced_size:
            await self._in_thread(followed.sync.sync)
            followed.synced_size = size
        if closed:
            followed.sync.close()
            self._followed.remove(followed)

    def _save_again(self) -> None:
        for job in list(self._unsaved.values()):
            try:
                self.save(job)
            except OSError:
                return
            if not self._unsaved:
                self._log.info("jobs can be saved again")
