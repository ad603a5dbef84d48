"""Worker threads: started with the agent, in two pools that do not delay each other."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from conftest import LoggedErrors
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.task import Clock

from goloagent.concurrency.threads import BULK_THREADS, CRITICAL_THREADS, Pool, Threads
from goloagent.wal.syncer import SYNC_SECONDS, WalSyncer


@pytest.fixture
def threads() -> Iterator[Threads]:
    """Return started threads."""
    from twisted.internet import reactor

    threads = Threads(reactor)  # type: ignore[arg-type]
    threads.start()
    yield threads
    threads.stop()


def running(pool: str) -> int:
    """Return the number of threads of a pool."""
    return sum(thread.name.startswith(f"{pool}-") for thread in threading.enumerate())


def test_all_threads_are_started_at_the_start(threads: Threads) -> None:
    """No thread is started later, when the host may have no task left."""
    assert (running("critical"), running("bulk")) == (CRITICAL_THREADS, BULK_THREADS)


def test_a_thread_that_cannot_be_started_is_an_error_at_the_start() -> None:
    """The start fails if the system allows no further thread."""

    def make_thread(**_: Any) -> threading.Thread:
        raise RuntimeError("can't start new thread")

    pool = Pool(Clock(), "pool", 1, make_thread)  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="can't start new thread"):
        pool.start()


async def test_a_call_returns_or_raises_on_the_reactor_thread(threads: Threads) -> None:
    """The function runs with its arguments in another thread."""
    name = await threads.bulk.run(lambda: threading.current_thread().name)
    assert name.startswith("bulk-")
    assert await threads.critical.run(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        await threads.bulk.run(divmod, 7, 0)
    assert threads.unfinished == []


async def test_a_call_that_is_cancelled_while_it_waits_is_not_made(threads: Threads) -> None:
    """A running call continues, and its result is dropped."""
    go_on, made = threading.Event(), list[str]()
    pool = threads.critical
    blocking = [pool.run(go_on.wait) for _ in range(pool.size)]
    waiting = pool.run(made.append, "waiting")
    for call in (waiting, blocking[0]):
        call.cancel()
        with pytest.raises(CancelledError):
            await call
    go_on.set()
    await gatherResults(blocking[1:])
    await pool.run(made.append, "last")
    assert made == ["last"]


async def test_an_error_with_a_result_ends_no_thread(
    threads: Threads, logged_errors: LoggedErrors
) -> None:
    """It is logged, and the pool keeps its size."""

    def broken(succeeded: bool, result: object) -> None:
        raise ZeroDivisionError

    for _ in range(threads.critical.size):
        threads.critical.callInThreadWithCallback(broken, lambda: None)
    assert await threads.critical.run(lambda: "result") == "result"
    assert running("critical") == CRITICAL_THREADS
    # Each thread has got beyond its failure when all of them meet.
    meeting = threading.Barrier(CRITICAL_THREADS)
    await gatherResults([threads.critical.run(meeting.wait) for _ in range(CRITICAL_THREADS)])
    assert len(logged_errors.flush(ZeroDivisionError)) == CRITICAL_THREADS


class Offsets:
    """A database or files with a change at all times; the sync thread calls `synced`."""

    def __init__(self, synced: Callable[[], None]) -> None:
        self.synced = synced
        self.changes = 1

    def check_writable(self) -> None:
        """Do nothing."""

    def sync(self) -> None:
        self.synced()

    def committed(self, change: int) -> None:
        """Do nothing."""


async def test_ten_uploads_on_a_disk_that_hangs_do_not_delay_the_sync(threads: Threads) -> None:
    """With more writes hanging than bulk threads, syncs continue.

    So they do while whatever else waits for that disk hangs: the sync of a log, the look at the
    free space, the checks of the host, and the preparation of a run.
    """
    from twisted.internet import reactor

    disk, clock = threading.Event(), Clock()
    uploads = [threads.bulk.run(disk.wait) for _ in range(BULK_THREADS + 10)]
    others = [threads.critical.run(disk.wait) for _ in range(4)]
    synced: Deferred[None] = Deferred()
    database = Offsets(lambda: reactor.callFromThread(synced.callback, None))  # type: ignore[attr-defined]
    syncer = WalSyncer(
        clock,
        threads.critical.run,
        database,
        Offsets(lambda: None),
        save_again=lambda: None,
        failed=lambda sentence: None,
    )
    syncer.start()
    clock.advance(SYNC_SECONDS)
    await synced.addTimeout(10, reactor)  # type: ignore[arg-type]
    assert not any(call.called for call in [*uploads, *others])
    assert threads.unfinished[-1] == f"bulk ({BULK_THREADS + 10})"
    disk.set()
    await gatherResults([*uploads, *others])
    await syncer.stop()
