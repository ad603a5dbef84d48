"""The syncer: logs first, then offsets, one sync at a time."""

from __future__ import annotations

import errno
from collections.abc import Callable
from functools import partial

import attrs
import pytest
from conftest import LoggedErrors
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.internet.task import Clock

from goloagent.filesystem.durable import SyncFailed
from goloagent.jobs.group_commit import RETRY_SECONDS
from goloagent.wal.syncer import SYNC_SECONDS, WalSyncer


@attrs.define
class MemoryLog:
    """A log that only has a size."""

    size: int = 0
    closed: bool = False


@attrs.define
class Files:
    """Files that rows name."""

    disk: Disk
    changes: int = 0

    def sync(self) -> None:
        self.disk._sync("files")

    def committed(self, change: int) -> None:
        if self.changes:
            self.disk.story.append(f"committed {change}")


@attrs.define
class Disk:
    """Offsets, and threads that run when the test does it."""

    story: list[str] = attrs.Factory(list)
    changes: int = 0
    waiting: list[tuple[Callable[[], None], Deferred[None]]] = attrs.Factory(list)
    failures: list[str] = attrs.Factory(list)
    error: OSError | None = None

    locked: bool = False
    no_thread: bool = False
    files: Files = attrs.field(init=False, default=attrs.Factory(Files, takes_self=True))

    def save(self) -> None:
        self.changes += 1

    def save_again(self) -> None:
        pass

    def check_writable(self) -> None:
        if self.locked:
            raise OSError(errno.EBUSY, "the database: database is locked")

    def sync(self) -> None:
        self._sync("offsets")

    def log_sync(self, name: str) -> MemorySync:
        return MemorySync(self, name)

    def _sync(self, name: str) -> None:
        if self.error is not None:
            raise self.error
        self.story.append(f"sync {name}")

    def in_thread(self, function: Callable[..., None], *arguments: object) -> Deferred[None]:
        if self.no_thread:
            raise RuntimeError("can't start new thread")
        done: Deferred[None] = Deferred()
        self.waiting.append((partial(function, *arguments), done))
        return done

    def finish(self) -> None:
        """Run everything that waits for a thread."""
        while self.waiting:
            function, done = self.waiting.pop(0)
            try:
                function()
            except OSError:
                done.errback()
            else:
                done.callback(None)


@attrs.frozen
class MemorySync:
    """Syncs one log."""

    disk: Disk
    name: str

    def sync(self) -> None:
        self.disk._sync(self.name)

    def close(self) -> None:
        self.disk.story.append(f"close {self.name}")


class Syncing:
    """A running syncer with a fake clock and disk."""

    def __init__(self) -> None:
        self.clock, self.disk, self.log = Clock(), Disk(), MemoryLog()
        self.syncer = WalSyncer(
            self.clock,
            self.disk.in_thread,
            self.disk,
            self.disk.files,
            self.disk.save_again,
            self.disk.failures.append,
        )
        self.syncer.start()
        self.syncer.track(self.log, self.disk.log_sync("log"))
        self.disk.finish()

    def tick(self) -> list[str]:
        """Advance the clock by one period; return the syncs."""
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


def test_r9_the_log_goes_first(syncing: Syncing) -> None:
    """An offset is synced after the bytes that it covers."""
    syncing.log.size = 10
    syncing.disk.save()
    assert syncing.tick() == ["sync log", "sync offsets"]


def test_unchanged_logs_are_not_synced(syncing: Syncing) -> None:
    """An idle agent makes no syncs."""
    assert syncing.tick() == []
    syncing.log.size = 1
    assert syncing.tick() == ["sync log"]
    syncing.disk.save()
    assert syncing.tick() == ["sync offsets"]
    assert syncing.tick() == []


def test_never_two_syncs_at_once(syncing: Syncing) -> None:
    """A slow sync delays the next one."""
    syncing.log.size = 1
    for _ in range(100):
        syncing.log.size += 1
        syncing.clock.advance(SYNC_SECONDS)
        assert len(syncing.disk.waiting) == 1


def test_growth_during_a_sync_is_synced_again(syncing: Syncing) -> None:
    """Bytes written after the beginning of a sync need another one."""
    syncing.log.size = 1
    syncing.clock.advance(SYNC_SECONDS)
    syncing.log.size = 2
    syncing.disk.finish()
    assert syncing.tick() == ["sync log"]
    assert syncing.tick() == []


def test_a_log_that_is_closed(syncing: Syncing) -> None:
    """Its end is synced before it is closed."""
    syncing.log.size, syncing.log.closed = 10, True
    assert syncing.tick() == ["sync log", "close log"]
    assert syncing.tick() == []


def test_a_stop_syncs_everything(syncing: Syncing) -> None:
    """The last sync includes all logs and offsets."""
    syncing.log.size = 10
    syncing.disk.save()
    syncing.disk.story.clear()
    stopped = ensureDeferred(syncing.syncer.stop())
    syncing.disk.finish()
    assert stopped.called
    assert syncing.disk.story == ["sync log", "sync offsets", "close log"]
    assert syncing.clock.getDelayedCalls() == []


@pytest.mark.parametrize("of_log", [True, False])
def test_r9_a_failed_sync_is_final(syncing: Syncing, of_log: bool) -> None:
    """It is reported once, and no further sync is made."""
    if of_log:
        syncing.log.size = 10
    syncing.disk.save()
    syncing.disk.error = SyncFailed(errno.EIO, "Input/output error")
    assert syncing.tick() == []
    syncing.disk.error = None
    assert len(syncing.disk.failures) == 1
    assert "Input/output error" in syncing.disk.failures[0]
    assert [syncing.tick() for _ in range(10)] == [[]] * 10
    stopped = ensureDeferred(syncing.syncer.stop())
    assert stopped.called
    assert syncing.disk.story == ["close log"]
    print("R9: syncs after a failed one: 0")


def commit(syncing: Syncing) -> Deferred[None]:
    """Save a change, and begin to commit it."""
    syncing.disk.save()
    return ensureDeferred(syncing.syncer.commit())


def test_a_commit_does_not_wait_for_the_half_second(syncing: Syncing) -> None:
    """It syncs at once, and returns after the sync."""
    done = commit(syncing)
    assert not done.called
    syncing.disk.finish()
    assert done.called
    assert syncing.tick() == []


def test_commits_share_a_sync(syncing: Syncing) -> None:
    """Commits during one sync share the next."""
    syncing.disk.story.clear()
    first, *others = [commit(syncing) for _ in range(100)]
    [(sync, done)] = syncing.disk.waiting
    syncing.disk.waiting.clear()
    sync()
    done.callback(None)
    assert first.called
    assert not any(other.called for other in others)
    syncing.disk.finish()
    assert all(other.called for other in others)
    assert syncing.disk.story == ["sync offsets"] * 2


def test_a_commit_without_changes(syncing: Syncing) -> None:
    """It returns without a sync."""
    assert ensureDeferred(syncing.syncer.commit()).called
    assert syncing.disk.waiting == []


def test_files_are_synced_before_their_rows(syncing: Syncing) -> None:
    """A commit syncs both if both changed."""
    syncing.disk.files.changes += 1
    syncing.disk.story.clear()
    done = commit(syncing)
    syncing.disk.finish()
    assert done.called
    assert syncing.disk.story == ["sync files", "sync offsets", f"committed {syncing.disk.changes}"]
    syncing.disk.story.clear()
    commit(syncing)
    syncing.disk.finish()
    assert syncing.disk.story[0] == "sync offsets"


def test_a_cancelled_commit(syncing: Syncing) -> None:
    """The others' sync continues, and its failure is handled."""
    gone, stays = commit(syncing), commit(syncing)
    gone.addErrback(lambda failure: failure.trap(CancelledError))
    gone.cancel()
    syncing.disk.finish()
    assert stays.called
    syncing.disk.error = SyncFailed(errno.EIO, "Input/output error")
    last = commit(syncing)
    last.addErrback(lambda failure: failure.trap(CancelledError))
    last.cancel()
    syncing.disk.finish()
    syncing.tick()
    assert len(syncing.disk.failures) == 1


def test_r9_a_commit_fails_with_its_sync(syncing: Syncing) -> None:
    """All present and later commits fail; it is reported once, and not retried."""
    commits = [commit(syncing) for _ in range(3)]
    syncing.disk.error = SyncFailed(errno.EIO, "Input/output error")
    syncing.disk.finish()
    syncing.disk.error = None
    commits.append(commit(syncing))
    for failed in commits:
        assert failed.called
        failed.addErrback(lambda failure: failure.trap(OSError))
    assert syncing.disk.waiting == []
    assert len(syncing.disk.failures) == 1
    assert syncing.tick() == []


def test_a_missing_thread_is_not_final(syncing: Syncing, logged_errors: LoggedErrors) -> None:
    """If no thread can start a commit fails, and the next period retries."""
    syncing.disk.no_thread = True
    failed = commit(syncing)
    failed.addErrback(lambda failure: failure.trap(OSError))
    syncing.log.size = 10
    assert syncing.tick() == []
    assert syncing.disk.failures == []
    syncing.disk.no_thread = False
    assert syncing.tick() == ["sync log", "sync offsets"]
    logged_errors.flush()


def test_a_locked_database(syncing: Syncing) -> None:
    """A change waits for the lock of another process, for a bounded time."""
    assert ensureDeferred(syncing.syncer.writable()).called
    syncing.disk.locked = True
    released, refused = (ensureDeferred(syncing.syncer.writable()) for _ in range(2))
    syncing.clock.advance(RETRY_SECONDS)
    assert not released.called
    syncing.disk.locked = False
    syncing.clock.advance(RETRY_SECONDS)
    assert released.called
    assert refused.called
    syncing.disk.locked = True
    refused = ensureDeferred(syncing.syncer.writable())
    syncing.clock.pump([RETRY_SECONDS] * 100)
    failures: list[int | None] = []
    refused.addErrback(lambda failure: failures.append(failure.value.errno))
    assert failures == [errno.EBUSY]


def test_tracking_waits_for_the_first_sync(syncing: Syncing) -> None:
    """It returns when the new log survives a power cut."""
    following = syncing.syncer.track(MemoryLog(), syncing.disk.log_sync("other"))
    assert not following.called
    syncing.disk.story.clear()
    syncing.disk.finish()
    assert following.called
    assert syncing.disk.story == ["sync other"]
    assert syncing.tick() == []


@pytest.mark.parametrize("how", ["failed", "no thread", "cancelled"])
def test_a_log_whose_tracking_fails_is_closed(syncing: Syncing, how: str) -> None:
    """Its descriptors are closed when no thread uses them."""
    error = SyncFailed(errno.EIO, "Input/output error")
    syncing.disk.error = error if how == "failed" else None
    syncing.disk.no_thread = how == "no thread"
    following = syncing.syncer.track(MemoryLog(), syncing.disk.log_sync("other"))
    following.addErrback(lambda failure: failure.trap(OSError, RuntimeError, CancelledError))
    syncing.disk.story.clear()
    if how == "cancelled":
        following.cancel()
        assert syncing.disk.story == []
    syncing.disk.finish()
    assert following.called
    assert syncing.disk.story[-1:] in (["close other"], [])
    assert "close other" in syncing.disk.story or how == "no thread"
    assert len(syncing.disk.failures) == (how == "failed")


def test_a_change_is_saved_and_durable(syncing: Syncing) -> None:
    """`save` waits for a locked database, saves, and syncs."""
    syncing.disk.locked = True
    saved = ensureDeferred(syncing.syncer.save(syncing.disk.save))
    syncing.disk.locked = False
    before = syncing.disk.changes
    syncing.clock.advance(RETRY_SECONDS)
    assert syncing.disk.changes == before + 1
    assert not saved.called
    syncing.disk.finish()
    assert saved.called
