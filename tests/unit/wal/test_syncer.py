"""What is written reaches the disk: logs first, then offsets, never two syncs at once."""

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
    """A log of which only the size matters."""

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
    """Offsets, and syncs that are done when the test says so."""

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

    def log_sync(self, name: str) -> LogSync:
        return LogSync(self, name)

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


def test_r9_the_log_goes_first(syncing: Syncing) -> None:
    """An offset is synced after the bytes that it covers."""
    syncing.log.size = 10
    syncing.disk.save()
    assert syncing.tick() == ["sync log", "sync offsets"]


def test_what_has_not_grown_is_not_synced(syncing: Syncing) -> None:
    """An idle agent lets the disk sleep."""
    assert syncing.tick() == []
    syncing.log.size = 1
    assert syncing.tick() == ["sync log"]
    syncing.disk.save()
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
    syncing.disk.save()
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
    """Save something, and begin to commit it."""
    syncing.disk.save()
    return ensureDeferred(syncing.syncer.commit())


def test_a_commit_does_not_wait_for_the_half_second(syncing: Syncing) -> None:
    """It is synced at once, and done when the sync is."""
    done = commit(syncing)
    assert not done.called
    syncing.disk.finish()
    assert done.called
    assert syncing.tick() == []


def test_commits_share_a_sync(syncing: Syncing) -> None:
    """All that come while one sync is under way share the next, which began after them."""
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


def test_a_commit_of_what_is_durable_is_done(syncing: Syncing) -> None:
    """Nothing was saved since: no disk is asked."""
    assert ensureDeferred(syncing.syncer.commit()).called
    assert syncing.disk.waiting == []


def test_files_are_synced_before_their_rows(syncing: Syncing) -> None:
    """One commit does both, and the files hear of what is durable; without a change they sleep."""
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


def test_a_commit_that_nobody_waits_for_any_more(syncing: Syncing) -> None:
    """A client that has gone takes the others' sync with it as little as its failure."""
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
    """Whoever waits hears of it, also who comes later; it is told once, and never tried again."""
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


def test_without_a_thread_it_is_synced_later(syncing: Syncing, logged_errors: LoggedErrors) -> None:
    """Only what the disk did not take is final: a commit fails, and the next tick tries again."""
    syncing.disk.no_thread = True
    failed = commit(syncing)
    failed.addErrback(lambda failure: failure.trap(OSError))
    syncing.log.size = 10
    assert syncing.tick() == []
    assert syncing.disk.failures == []
    syncing.disk.no_thread = False
    assert syncing.tick() == ["sync log", "sync offsets"]
    logged_errors.flush()


def test_a_locked_database_is_waited_for_a_moment(syncing: Syncing) -> None:
    """A change waits while another process holds it, and is refused when that takes too long."""
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


def test_a_log_is_there_before_it_is_tracked(syncing: Syncing) -> None:
    """Whoever starts a run waits until a power cut leaves its log."""
    following = syncing.syncer.track(MemoryLog(), syncing.disk.log_sync("other"))
    assert not following.called
    syncing.disk.story.clear()
    syncing.disk.finish()
    assert following.called
    assert syncing.disk.story == ["sync other"]
    assert syncing.tick() == []


@pytest.mark.parametrize("how", ["failed", "no thread", "cancelled"])
def test_a_log_that_cannot_be_tracked_is_let_go_of(syncing: Syncing, how: str) -> None:
    """Its descriptors are closed when no thread uses them any more."""
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
    """It waits for a locked database, is saved, and is done when the disk has it."""
    syncing.disk.locked = True
    saved = ensureDeferred(syncing.syncer.save(syncing.disk.save))
    syncing.disk.locked = False
    before = syncing.disk.changes
    syncing.clock.advance(RETRY_SECONDS)
    assert syncing.disk.changes == before + 1
    assert not saved.called
    syncing.disk.finish()
    assert saved.called
