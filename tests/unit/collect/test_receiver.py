"""The receiver: when pushes are stored, and the responses of their senders, with real files."""

from __future__ import annotations

import errno
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred, ensureDeferred, maybeDeferred
from twisted.internet.task import Clock

from goloagent.collect import receiver as module
from goloagent.collect.marks import PartlyStored
from goloagent.collect.push import Push, Source
from goloagent.collect.receiver import IDLE_SECONDS, Busy, Receiver
from goloagent.filesystem.durable import SyncFailed
from goloagent.jobs.job import Checkpoint, Job, State

JOB = "0b1e5b84-6f4e-4b6e-9d2c-0a7b6d1f2e3c"
TIME = datetime(2026, 1, 2, tzinfo=timezone.utc)


class World:
    """A receiver whose calls in threads wait for `work` if `slow`."""

    def __init__(self, logs: Path, max_log_bytes: int = 1_000) -> None:
        self.clock = Clock()
        self.jobs: list[Job] = []
        self.saved: list[State] = []
        self.calls: list[tuple[str, str]] = []
        self.failures: list[str] = []
        self.slow = False
        self.waiting: list[Callable[[], None]] = []
        self.fault: Exception | None = None
        self.receiver = Receiver(
            self.clock,
            lambda: TIME,
            self._in_thread,
            logs,
            lambda job_id: any(job.id == job_id for job in self.jobs),
            self._add,
            lambda job: self.saved.append(job.state),
            self,
            self.failures.append,
            max_log_bytes,
        )
        self.receiver.open({})

    def push(self, first: int, end: int, sender: str = JOB, results: int = 1) -> Deferred[None]:
        """Push results; the Deferred has a failure for an error."""
        text = b"x" * (end - first - 1) + b"\n"
        key = f"{sender}/{first}-{end - 1}"
        push = Push(Source("shop", sender), key, first, end, text, results, "192.0.2.1")
        return ensureDeferred(self.receiver.push(push))

    def work(self) -> None:
        """Do the calls that wait, and those that follow them."""
        while self.waiting:
            self.waiting.pop(0)()

    def assign(self, job: Job) -> None:
        job.outputs = {"archive": Checkpoint()}

    def begin(self, job: Job) -> None:
        self.calls.append(("begin", job.id))

    def on_appended(self, job: Job) -> None:
        self.calls.append(("appended", job.id))

    def end(self, job: Job) -> None:
        self.calls.append(("end", job.id))

    async def _add(self, job: Job) -> None:
        self.jobs.append(job)

    def _in_thread(self, function: Callable[..., Any], *args: Any) -> Deferred[Any]:
        if self.fault is not None:
            return maybeDeferred(self._fail)
        if not self.slow:
            return maybeDeferred(function, *args)
        done: Deferred[Any] = Deferred()
        self.waiting.append(lambda: maybeDeferred(function, *args).chainDeferred(done))
        return done

    def _fail(self) -> None:
        assert self.fault is not None
        raise self.fault


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Return a receiver."""
    return World(tmp_path)


def result(deferred: Deferred[None]) -> Any:
    """Return the result or the error of a Deferred, or "waiting"."""
    found: list[Any] = ["waiting"]
    deferred.addBoth(lambda value: found.append(getattr(value, "value", value)))
    return found[-1]


def test_a_response_waits_for_the_disk(world: World, tmp_path: Path) -> None:
    """Pushes that arrive during a write are stored together, each before its response."""
    world.slow = True
    pushes = [world.push(0, 10), world.push(10, 30)]
    assert [result(one) for one in pushes] == ["waiting", "waiting"]
    assert world.calls == []
    world.work()
    pushes.append(world.push(30, 40))
    assert [result(one) for one in pushes] == [None, None, "waiting"]
    world.work()
    assert result(pushes[-1]) is None
    assert (tmp_path / "shop" / JOB / "out.log").stat().st_size == 40
    [job] = world.jobs
    assert (job.id, job.spec.run, job.spec.agent) == (JOB, JOB, "192.0.2.1")
    assert (job.lines.read, job.verified_range, job.state) == (3, range(40), State.RUNNING)
    assert [call for call, _ in world.calls] == ["begin", "appended", "appended", "appended"]


def test_a_repeat_is_answered_and_not_stored(world: World, tmp_path: Path) -> None:
    """So is one that waits in the same group; a part of one is refused."""
    world.slow = True
    pushes = [world.push(0, 10), world.push(0, 10), world.push(5, 20), world.push(0, 4)]
    world.work()
    first, repeat, part, shorter = map(result, pushes)
    assert (first, repeat, shorter) == (None, None, None)
    assert isinstance(part, PartlyStored)
    assert (tmp_path / "shop" / JOB / "out.log").stat().st_size == 10


def test_each_source_has_its_job(world: World) -> None:
    """A source without the id of a job gets one of its own, and no run."""
    for sender in (JOB, "peer 192.0.2.1"):
        assert result(world.push(0, 10, sender)) is None
    assert world.jobs[0].id == JOB
    assert world.jobs[1].id != JOB
    assert world.jobs[1].spec.run is None


def test_an_idle_job_ends(world: World) -> None:
    """After the idle time the job is over; the source continues with another one."""
    assert result(world.push(0, 10)) is None
    world.clock.advance(IDLE_SECONDS - 1)
    world.receiver.end_idle()
    assert world.jobs[0].state is State.RUNNING
    world.clock.advance(1)
    world.receiver.end_idle()
    assert (world.jobs[0].state, world.saved[-1]) == (State.FINISHED, State.FINISHED)
    assert world.calls[-1] == ("end", JOB)
    assert result(world.push(0, 10)) is None
    assert len(world.jobs) == 1
    assert result(world.push(10, 30)) is None
    assert [job.lines.read for job in world.jobs] == [1, 1]
    assert world.jobs[1].spec.run == JOB
    assert world.receiver.end_job(world.jobs[1])
    assert world.jobs[1].state is State.FINISHED


def test_a_busy_source_delays_no_idle_one(world: World) -> None:
    """A job ends although others are being stored; one that is being stored does not end."""
    assert result(world.push(0, 10)) is None
    world.clock.advance(IDLE_SECONDS)
    assert result(world.push(0, 10, "peer 192.0.2.1")) is None
    world.clock.advance(IDLE_SECONDS)
    world.slow = True
    busy = world.push(10, 20, "peer 192.0.2.1")
    world.receiver.end_idle()
    assert not world.receiver.end_job(world.jobs[1])
    assert [job.state for job in world.jobs] == [State.FINISHED, State.RUNNING]
    world.work()
    assert result(busy) is None


def test_a_large_log_ends(tmp_path: Path) -> None:
    """A job ends at the maximum size of its log."""
    world = World(tmp_path, max_log_bytes=20)
    for first in (0, 10, 20):
        assert result(world.push(first, first + 10)) is None
    assert [job.state for job in world.jobs] == [State.FINISHED, State.RUNNING]


def test_a_full_disk(world: World) -> None:
    """The sender gets the error, and its repeat is stored."""
    assert result(world.push(0, 10)) is None
    world.fault = OSError(errno.ENOSPC, "No space left on device")
    assert result(world.push(10, 20)) is world.fault
    world.fault = None
    assert result(world.push(10, 20)) is None
    assert world.jobs[0].lines.read == 2
    assert world.failures == []


def test_a_failed_sync_ends_it(world: World) -> None:
    """Nothing is taken after a sync that failed."""
    assert result(world.push(0, 10)) is None
    world.fault = SyncFailed(errno.EIO, "Input/output error")
    assert result(world.push(10, 20)) is world.fault
    world.fault = None
    assert "the disk did not take" in world.failures[0]
    assert isinstance(result(world.push(10, 20)), Busy)


def test_a_slow_disk_bounds_memory(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than the maximum does not wait; it is taken when the rest is stored."""
    monkeypatch.setattr(module, "MAX_WAITING_BYTES", 30)
    world.slow = True
    pushes = [world.push(0, 10), world.push(10, 30), world.push(30, 40)]
    assert isinstance(result(pushes[2]), Busy)
    world.work()
    assert [result(one) for one in pushes[:2]] == [None, None]
    last = world.push(30, 40)
    world.work()
    assert result(last) is None


def test_many_sources_are_refused(world: World) -> None:
    """The number of open logs is bounded."""
    world.receiver.max_live = 1
    assert result(world.push(0, 10)) is None
    assert isinstance(result(world.push(0, 10, "peer 192.0.2.2")), Busy)


def test_the_source_that_is_silent_for_longest_is_forgotten(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Marks of sources that send are kept, however old the sources are."""
    monkeypatch.setattr(module, "MAX_SOURCES", 2)
    for first, sender in ((0, JOB), (0, "peer 192.0.2.2"), (10, JOB), (0, "peer 192.0.2.3")):
        assert result(world.push(first, first + 10, sender)) is None
    read = world.jobs[0].lines.read
    assert result(world.push(10, 20)) is None
    assert world.jobs[0].lines.read == read


def test_a_stop_stores_what_waits(world: World) -> None:
    """A stop waits for the disk, ends all jobs, and takes nothing more."""
    world.slow = True
    waiting = world.push(0, 10)
    stopping = ensureDeferred(world.receiver.stop())
    assert result(stopping) == "waiting"
    world.work()
    assert (result(waiting), stopping.called) == (None, True)
    assert world.jobs[0].state is State.FINISHED
    assert isinstance(result(world.push(10, 20)), Busy)


def test_a_sender_that_leaves(world: World, tmp_path: Path) -> None:
    """A cancelled push is stored or not; the others of its group are."""
    world.slow = True
    left, stays = world.push(0, 10), world.push(10, 20)
    left.cancel()
    world.work()
    result(left)
    assert result(stays) is None
    assert (tmp_path / "shop" / JOB / "out.log").stat().st_size == 20
