"""What is written reaches the disk: logs first, then offsets, never two syncs at once."""

from __future__ import annotations

import errno
from collections.abc import Callable

import attrs
import pytest
from conftest import LoggedErrors
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import Clock
from unit.runs.one_run import NOW

from goloagent.disk.syncer import SYNC_SECONDS, Syncer
from goloagent.jobs.job import Job
from goloagent.jobs.spec import JobSpec


@attrs.define
class MemoryLog:
    """A log of which only the size matters."""

    size: int = 0
    closed: bool = False


@attrs.define
class Disk:
    """Offsets, and syncs that are done when the test says so."""

    story: list[str] = attrs.Factory(list)
    changes: int = 0
    full: bool = False
    waiting: list[tuple[Callable[[], None], Deferred[None]]] = attrs.Factory(list)
    failures: list[str] = attrs.Factory(list)
    error: OSError | None = None

    def save(self, job: Job) -> None:
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.changes += 1
        self.story.append(f"save {job.id}")

    def sync(self) -> None:
        self._sync("offsets")

    def log_sync(self, name: str) -> LogSync:
        return LogSync(self, name)

    def _sync(self, name: str) -> None:
        if self.error is not None:
            raise self.error
        self.story.append(f"sync {name}")

    def in_thread(self, function: Callable[[], None]) -> Deferred[None]:
        done: Deferred[None] = Deferred()
        self.waiting.append((function, done))
        return done

    def finish(self) -> None:
        """Do all that waits in threads."""
        while self.waiting:
            function, done = self.waiting.pop(0)
            try:
                function()
            except OSError:
                done.errback()
            else:
                done.callback(None)


@attrs.frozen
class LogSync:
    """Syncs one log."""

    disk: Disk
    name: str

    def sync(self) -> None:
        self.disk._sync(self.name)

    def close(self) -> None:
        self.disk.story.append(f"close {self.name}")


class Syncing:
    """A syncer that runs, on a clock and a disk."""

    def __init__(self) -> None:
        self.clock, self.disk, self.log = Clock(), Disk(), MemoryLog()
        self.syncer = Syncer(self.clock, self.disk.in_thread, self.disk, self.disk.failures.append)
        self.syncer.start()
        self.syncer.follow(self.log, self.disk.log_sync("log"))

    def tick(self) -> list[str]:
        """Let the time for one sync pass; return what was done."""
        self.disk.story.clear()
        self.clock.advance(SYNC_SECONDS)
        self.disk.finish()
        return list(self.disk.story)


@pytest.fixture
def syncing() -> Syncing:
    """Return a syncer that has synced once."""
    syncing = Syncing()
    syncing.tick()
    return syncing


def job() -> Job:
    """Return a job."""
    return Job("job-1", JobSpec("name", 1, 1, "b"), NOW)


def test_r9_the_log_goes_first(syncing: Syncing) -> None:
    """An offset is synced after the bytes that it covers."""
    syncing.log.size = 10
    syncing.syncer.save(job())
    assert syncing.tick() == ["sync log", "sync offsets"]


def test_what_has_not_grown_is_not_synced(syncing: Syncing) -> None:
    """An idle agent lets the disk sleep."""
    assert syncing.tick() == []
    syncing.log.size = 1
    assert syncing.tick() == ["sync log"]
    syncing.syncer.save(job())
    assert syncing.tick() == ["sync offsets"]
    assert syncing.tick() == []


def test_never_two_syncs_at_once(syncing: Syncing) -> None:
    """A slow disk is waited for, however long it takes."""
    syncing.log.size = 1
    for _ in range(100):
        syncing.log.size += 1
        syncing.clock.advance(SYNC_SECONDS)
        assert len(syncing.disk.waiting) == 1


def test_what_grows_during_a_sync_is_synced_again(syncing: Syncing) -> None:
    """Bytes that came after a sync had begun may not be in it."""
    syncing.log.size = 1
    syncing.clock.advance(SYNC_SECONDS)
    syncing.log.size = 2
    syncing.disk.finish()
    assert syncing.tick() == ["sync log"]
    assert syncing.tick() == []


def test_a_log_that_is_closed(syncing: Syncing) -> None:
    """Its end is synced before it is let go of."""
    syncing.log.size, syncing.log.closed = 10, True
    assert syncing.tick() == ["sync log", "close log"]
    assert syncing.tick() == []


def test_the_end_syncs_what_there_is(syncing: Syncing) -> None:
    """An agent that stops leaves nothing to chance."""
    syncing.log.size = 10
    syncing.syncer.save(job())
    syncing.disk.story.clear()
    stopped = ensureDeferred(syncing.syncer.stop())
    syncing.disk.finish()
    assert stopped.called
    assert syncing.disk.story == ["sync log", "sync offsets", "close log"]
    assert syncing.clock.getDelayedCalls() == []


@pytest.mark.parametrize("of_log", [True, False])
def test_r9_a_failed_sync_is_final(syncing: Syncing, of_log: bool) -> None:
    """It is told once, and neither tried again nor followed by any other."""
    if of_log:
        syncing.log.size = 10
    syncing.syncer.save(job())
    syncing.disk.error = OSError(errno.EIO, "Input/output error")
    assert syncing.tick() == []
    syncing.disk.error = None
    assert len(syncing.disk.failures) == 1
    assert "Input/output error" in syncing.disk.failures[0]
    assert [syncing.tick() for _ in range(10)] == [[]] * 10
    stopped = ensureDeferred(syncing.syncer.stop())
    assert stopped.called
    assert syncing.disk.story == ["close log"]
    print("R9: syncs after a failed one: 0")


def test_r8_what_cannot_be_saved_is_saved_later(
    syncing: Syncing, logged_errors: LoggedErrors
) -> None:
    """A full disk keeps offsets in memory, says so once, and gets them when it has room."""
    syncing.disk.full = True
    kept = job()
    for _ in range(3):
        with pytest.raises(OSError, match="No space"):
            syncing.syncer.save(kept)
        assert syncing.tick() == []
    assert len(logged_errors.flush()) == 1
    syncing.disk.full = False
    assert syncing.tick() == ["save job-1", "sync offsets"]
    assert syncing.tick() == []
