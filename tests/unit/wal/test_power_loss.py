"""R9: power loss, kill and full disks against a model of a disk that loses what was not synced.

The log, its recorder, cursor, recovery and delivery are the real ones, on real files; only what is
asked of the disk goes through the model: it fails calls, and at a power cut takes back what no sync
has reached, as much of it as it likes. Offsets are kept by a store with the same durability.
"""

from __future__ import annotations

import copy
import errno
import itertools
import os
import random
import shutil
import tempfile
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import attrs
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from twisted.internet.defer import Deferred, ensureDeferred, maybeDeferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from unit.runs.one_run import NOW

from goloagent.core.job_spec import JobSpec
from goloagent.filesystem.durable import SyncFailed
from goloagent.jobs.database import SettledRun
from goloagent.jobs.job import Job, State
from goloagent.jobs.repository import JobRepository
from goloagent.outputs.batch import Batch
from goloagent.outputs.dead_letter import DeadLetterRun
from goloagent.outputs.results_feed import ResultsFeed
from goloagent.outputs.retry import Backoff
from goloagent.outputs.sink import BatchLimits, Response
from goloagent.outputs.worker import OutputWorker
from goloagent.runs.recovery import Recovery
from goloagent.wal.result_writer import ResultWriter
from goloagent.wal.run_log import RunLogWriter, open_reader, open_sync, read_stderr_tail
from goloagent.wal.sidecar import REJECTED, open_to_append
from goloagent.wal.syncer import SYNC_SECONDS, WalSyncer

HISTORIES = 10_000 if os.environ.get("GOLO_SOAK") else 300
PRINT_SECONDS = 0.1


class Disk:
    """Replaces the functions of `os` that write; records the durable part of each file."""

    def __init__(self) -> None:
        self.durable: dict[int, int] = {}
        self.failing: str | None = None
        self.fail_at = 0
        self.fired = False
        self.rotten = False
        self._write, self._fsync, self._open, self._rename = (
            os.pwrite,
            os.fsync,
            os.open,
            os.rename,
        )

    def pwrite(self, descriptor: int, data: Any, offset: int) -> int:
        if self._fails("pwrite"):
            # As a full disk does: what fits is written, and the next call finds no room.
            if len(data) > 1 and not self.rotten:
                self.failing, self.fail_at = "pwrite", 1
                return self._write(descriptor, data[: len(data) // 2], offset)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self._write(descriptor, data, offset)

    def fsync(self, descriptor: int) -> None:
        if self._fails("fsync"):
            self.rotten = True
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        if not self.rotten:  # what it lost it does not find again, though it says so
            status = os.fstat(descriptor)
            self.durable[status.st_ino] = status.st_size

    def open(self, *arguments: Any, **named: Any) -> int:
        if self._fails("open"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self._open(*arguments, **named)

    def rename(self, *arguments: Any, **named: Any) -> None:
        if self._fails("rename"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self._rename(*arguments, **named)

    def cut_power(self, path: Path, kept: float) -> None:
        """Remove unsynced data of the file, except a part of it."""
        if path.exists():
            status = path.stat()
            durable = self.durable.get(status.st_ino, 0)
            left = durable + int((status.st_size - durable) * kept)
            os.truncate(path, left)
            self.durable[status.st_ino] = left

    def _fails(self, call: str) -> bool:
        if self.failing != call:
            return False
        self.fail_at -= 1
        if self.fail_at > 0:
            return False
        self.failing, self.fired = None, True
        return True


@attrs.define
class Offsets:
    """Saves a job, which survives a power cut if it was synced."""

    disk: Disk
    saved: dict[str, Job] = attrs.Factory(dict)
    durable: dict[str, Job] = attrs.Factory(dict)
    changes: int = 0
    full: bool = False
    frozen: bool = False

    def save(self, job: Job) -> None:
        if self.frozen:
            return
        if self.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.saved[job.id] = copy.deepcopy(job)
        self.changes += 1

    def sync(self) -> None:
        if self.disk._fails("fsync"):
            self.disk.rotten = True
            raise SyncFailed(errno.EIO, os.strerror(errno.EIO))
        if not self.disk.rotten:
            self.durable = copy.deepcopy(self.saved)

    def check_writable(self) -> None:
        if self.frozen:
            raise OSError(errno.EIO, "the disk of the database has failed")

    def get(self, job_id: str) -> Job | None:
        return copy.deepcopy(self.saved.get(job_id))

    def settled_runs(self) -> list[SettledRun]:
        settled = [job for job in self.saved.values() if job.fully_delivered and job.has_log]
        return [SettledRun(job.id, job.spec.name, job.ended_at or NOW) for job in settled]

    def unsettled(self) -> list[Job]:
        return [copy.deepcopy(job) for job in self.saved.values() if not job.fully_delivered]


class NoFiles:
    """Files that never change."""

    changes = 0

    def sync(self) -> None:
        pass

    def committed(self, change: int) -> None:
        pass


class World:
    """Jobs of one name over several processes, with records of printed and accepted results."""

    def __init__(self) -> None:
        self.root = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
        self.disk = Disk()
        self.offsets = Offsets(self.disk)
        self.patches = [
            mock.patch(f"goloagent.wal.run_log.os.{name}", getattr(self.disk, name))
            for name in ("pwrite", "fsync", "open", "rename")
        ]
        for patch in self.patches:
            patch.start()
        self.printed: dict[str, list[int]] = {}  # by job: numbers, in order
        self.written: dict[str, list[tuple[float, int]]] = {}
        self.ranges: dict[str, list[tuple[int, int]]] = {}
        self.taken: dict[str, set[int]] = {}
        self.numbers = itertools.count(1)
        self.job_numbers = itertools.count(1)
        self.job: Job | None = None
        self.recorder: ResultWriter | None = None
        self.alive = False
        self.failures: list[str] = []
        self.notices: list[str] = []
        self.clock = Clock()
        self.live()

    # The agent.

    @property
    def works(self) -> bool:
        """Whether the agent runs, and no sync has failed."""
        return self.alive and not self.failures

    def live(self) -> None:
        """Start an agent with the content of the disk."""
        self.clock = self._clock_from_now()
        self.alive, self.failures = True, []
        self.disk.rotten, self.offsets.frozen = False, False
        self.waiting: Deferred[Response] | None = None
        self.jobs = JobRepository(
            self.offsets,  # type: ignore[arg-type]
            [],
            lambda job: None,
            lambda sentence: None,
        )
        self.syncer = WalSyncer(
            self.clock,
            maybeDeferred,
            self.offsets,
            NoFiles(),
            self.jobs.save_again,
            self._failed,
        )
        commit = self.jobs.save_soon
        self.worker = OutputWorker(
            self.clock,
            lambda: NOW,
            self._push,
            lambda account: ResultsFeed(account, self._open, BatchLimits()),
            commit,
        )
        self.worker._delivery._backoff = Backoff(random.Random(0))  # a history must repeat
        self.worker.start()
        self.syncer.start()
        recovery = Recovery(
            self.offsets,  # type: ignore[arg-type]
            lambda job: open_reader(self.root, job.spec.name, job.id),
            self.worker,
            self.jobs.save_soon,
            lambda: NOW,
            maybeDeferred,
            self.notices.append,
            lambda job, summary: None,
            lambda job: read_stderr_tail(self.root, job.spec.name, job.id),
        )
        assert ensureDeferred(recovery.recover()).called

    def begin(self) -> bool:
        """Begin a run."""
        job = Job(f"job-{next(self.job_numbers)}", JobSpec("name", 1, 1, "b"), NOW, State.RUNNING)
        try:
            log = RunLogWriter.create(self.root, "name", job.id)
            job.has_log, job.log_version = True, log.version
            self.recorder = ResultWriter(log)
            _done(self.syncer.track(log, open_sync(self.root, "name", job.id)))
            _done(ensureDeferred(self.syncer.save(partial(self.jobs.change, job))))
            self.worker.begin(job)
        except OSError:
            if self.recorder is not None:
                self.recorder.close()
            self.recorder = None
            return False
        self.job = job
        self.printed[job.id], self.written[job.id] = [], []
        self.ranges[job.id], self.taken[job.id] = [], set()
        return True

    def print(self, count: int) -> None:
        """Print results."""
        assert self.job is not None
        assert self.recorder is not None
        numbers = list(itertools.islice(self.numbers, count))
        self.printed[self.job.id] += numbers
        before = self.recorder.line_counter.valid
        data = b"".join(_line(number) for number in numbers)
        with suppress(OSError):
            self.recorder.stdout(data)
        self.job.lines.read = self.recorder.line_counter.read
        self.job.lines.invalid = self.recorder.line_counter.invalid
        self.job.verified_range = self.recorder.line_counter.verified_range
        self.job.log_version = self.recorder._log.version
        written = numbers[: self.recorder.line_counter.valid - before]
        self.written[self.job.id] += [(self.clock.seconds(), number) for number in written]
        self.worker.on_appended(self.job)

    def end(self) -> None:
        """End the run."""
        assert self.job is not None
        assert self.recorder is not None
        self.recorder.close()
        self.job.lines.read = self.recorder.line_counter.read
        self.job.lines.invalid = self.recorder.line_counter.invalid
        self.job.verified_range = self.recorder.line_counter.verified_range
        self.job.log_version = self.recorder._log.version
        self.job.state = State.FINISHED
        self.jobs.save_soon(self.job)
        self.worker.end(self.job)
        self.job = self.recorder = None

    def die(self) -> None:
        """End the agent, as kill -9 does."""
        self.alive = False
        self.job = None
        if self.recorder is not None:
            self.recorder._log.close()
            self.recorder = None
        self.jobs._unsaved.clear()
        self.syncer._tracked, followed = [], self.syncer._tracked
        for one in followed:
            one.sync.close()
        self.worker._delivery.queue.close()
        self.clock = self._clock_from_now()  # pending calls never run

    def lose_power(self, kept: float) -> list[int]:
        """Cut the power; return the written results that are lost."""
        seconds = self.clock.seconds()
        self.die()
        lost = []
        for job_id in list(self.written):
            path = self.root / "name" / job_id / "out.log"
            self.disk.cut_power(path, kept)
            left = set(_numbers(path.read_bytes())) if path.exists() else set()
            gone = [(at, number) for at, number in self.written[job_id] if number not in left]
            self.written[job_id] = [pair for pair in self.written[job_id] if pair[1] in left]
            lost += [number for at, number in gone if at < seconds - SYNC_SECONDS]
        self.offsets.saved = copy.deepcopy(self.offsets.durable)
        return lost

    def _clock_from_now(self) -> Clock:
        clock = Clock()
        clock.advance(self.clock.seconds())
        return clock

    def _failed(self, sentence: str) -> None:
        self.failures.append(sentence)
        self.offsets.frozen = True

    def _open(self, job: Job) -> DeadLetterRun:
        reader = open_reader(self.root, job.spec.name, job.id)
        run = (self.root, job.spec.name, job.id)
        return DeadLetterRun(reader, lambda: open_to_append(*run, REJECTED))

    # The collector.

    def _push(self, job: Job, batch: Batch, ordinal: int) -> Deferred[Response]:
        self.pushed = (f"{job.id}/{batch.key}", batch.body())
        self.waiting = Deferred()
        return self.waiting

    def answer(self, status: int | None, stored: bool) -> None:
        """Let the collector store the batch or not, and respond or not."""
        if self.waiting is None:
            return
        key, body = self.pushed
        job_id, _, span = key.partition("/")
        first, last = map(int, span.split("-"))
        numbers = _numbers(body.replace(b"},{", b"}\n{").strip(b"[]"))
        assert set(numbers) <= set(self.printed[job_id]), "a result was never printed"
        if stored:
            seen = self.ranges[job_id]
            repeats = self.taken[job_id] & set(numbers)
            assert not repeats or any(a <= last and first <= b for a, b in seen), key
            seen.append((first, last))
            self.taken[job_id].update(numbers)
        waiting, self.waiting = self.waiting, None
        waiting.callback(Response(status=status, error=None if status else "no answer"))

    # Checks.

    def check(self) -> None:
        """Check all counts."""
        jobs = [self.job] if self.alive and self.job is not None else []
        for job in [*jobs, *self.offsets.saved.values()]:
            results = job.results
            assert results.pending >= 0, job
            assert min(results.read, results.invalid, results.delivered, results.rejected) >= 0

    def drain(self) -> None:
        """Start an agent and a working collector; check that all surviving results arrive."""
        if self.alive:
            self.die()
        self.disk.failing, self.offsets.full = None, False
        self.live()
        for _ in range(500):
            self.answer(200, stored=True)
            self.clock.advance(1)
            if not self.worker._delivery.queue and self.waiting is None:
                break
        for job_id, written in self.written.items():
            refused = self.root / "name" / job_id / "rejected.jsonl"
            rejected = refused.read_bytes() if refused.exists() else b""
            lost = [
                number
                for _, number in written
                if number not in self.taken[job_id] and b'\\"%d\\"' % number not in rejected
            ]
            if job_id in self.offsets.saved:
                assert not lost, (job_id, lost)
        self.check()
        self.die()

    def close(self) -> None:
        for patch in self.patches:
            patch.stop()
        shutil.rmtree(self.root)


def _done(deferred: Deferred[None]) -> None:
    """Raise the failure of a fired Deferred."""
    failures: list[Failure] = []
    deferred.addErrback(failures.append)
    assert deferred.called
    for failure in failures:
        failure.raiseException()


def _line(number: int) -> bytes:
    return b'{"sequenceID":"%d","timestamp":"2026-01-02T03:04:05Z"}\n' % number


def _numbers(text: bytes) -> list[int]:
    return [
        int(line[15 : line.index(b'"', 15)])
        for line in text.split(b"\n")
        if line.startswith(b'{"sequenceID":"') and line.endswith(b"}")
    ]


totals = {"histories": 0, "results written": 0, "power cuts": 0, "older results lost": 0}


class Histories(RuleBasedStateMachine):
    """All events, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        totals["histories"] += 1

    @initialize()
    def begin_and_print(self) -> None:
        """Begin as most histories do, because few would get far otherwise."""
        self.world.begin()
        self.world.print(300)

    @precondition(lambda self: self.world.works and self.world.job is None)
    @rule()
    def begin(self) -> None:
        self.world.begin()

    @precondition(lambda self: self.world.works and self.world.job is not None)
    @rule(count=st.integers(1, 400))
    def print(self, count: int) -> None:
        self.world.print(count)

    @precondition(lambda self: self.world.works and self.world.job is not None)
    @rule()
    def end(self) -> None:
        self.world.end()

    @precondition(lambda self: self.world.alive)
    @rule(seconds=st.sampled_from([0.1, 0.6, 1.0, 31.0]))
    def pass_time(self, seconds: float) -> None:
        for _ in range(round(seconds / PRINT_SECONDS)):
            self.world.clock.advance(PRINT_SECONDS)

    @precondition(lambda self: self.world.waiting is not None and self.world.alive)
    @rule(
        how=st.sampled_from(
            [(200, True), (200, True), (200, True), (503, False), (None, True), (None, False)]
        )
    )
    def answer(self, how: tuple[int | None, bool]) -> None:
        self.world.answer(*how)

    @precondition(lambda self: self.world.waiting is not None and self.world.alive)
    @rule()
    def refuse(self) -> None:
        self.world.answer(400, stored=False)

    @precondition(lambda self: self.world.disk.failing is None)
    @rule(call=st.sampled_from(["pwrite", "fsync", "open"]), nth=st.integers(1, 6))
    def fail(self, call: str, nth: int) -> None:
        self.world.disk.failing, self.world.disk.fail_at = call, nth

    @rule(full=st.booleans())
    def fill_database(self, full: bool) -> None:
        self.world.offsets.full = full

    @precondition(lambda self: self.world.alive)
    @rule()
    def kill(self) -> None:
        self.world.die()

    @precondition(lambda self: self.world.alive and not self.world.disk.rotten)
    @rule(kept=st.sampled_from([0.0, 0.0, 0.3, 0.999, 1.0]), offsets_kept=st.booleans())
    def lose_power(self, kept: float, offsets_kept: bool) -> None:
        if offsets_kept:  # the system writes when it likes: an offset before what it covers
            self.world.offsets.durable = copy.deepcopy(self.world.offsets.saved)
        lost = self.world.lose_power(kept)
        totals["power cuts"] += 1
        totals["older results lost"] += len(lost)
        assert not lost, f"written more than {SYNC_SECONDS} s before the power cut: {lost}"

    @precondition(lambda self: not self.world.alive)
    @rule()
    def restart(self) -> None:
        self.world.disk.failing = None
        self.world.live()

    @invariant()
    def accounts_balance(self) -> None:
        self.world.check()

    @invariant()
    def a_failed_sync_ends_commits(self) -> None:
        if self.world.disk.rotten and self.world.alive:
            assert len(self.world.failures) == 1
            assert self.world.offsets.frozen

    def teardown(self) -> None:
        totals["results written"] += sum(map(len, self.world.written.values()))
        try:
            self.world.drain()
        finally:
            self.world.close()


def test_r9_histories(logged_errors: Any) -> None:
    """No history loses synced results, sends others, or repeats outside a known key."""
    from hypothesis.stateful import run_state_machine_as_test

    run_state_machine_as_test(
        Histories,
        settings=settings(
            max_examples=HISTORIES,
            stateful_step_count=30,
            suppress_health_check=list(HealthCheck),
        ),
    )
    logged_errors.flush()
    print("R9:", ", ".join(f"{what} {count}" for what, count in totals.items()))


def test_r9_a_kill_between_delivery_and_sync(logged_errors: Any) -> None:
    """A log that was delivered, but not synced before a kill, is synced by the next process."""
    world = World()
    try:
        world.begin()
        world.print(300)
        world.end()
        while world.waiting is not None:
            world.answer(200, stored=True)
        world.die()
        world.live()
        world.clock.advance(SYNC_SECONDS + 0.1)
        assert world.lose_power(kept=0.0) == []
    finally:
        world.close()


@pytest.mark.parametrize("call", ["pwrite", "fsync", "open", "rename"])
def test_r8_every_call_fails_once(call: str, logged_errors: Any) -> None:
    """With any failed call the counts add up, and written results are delivered."""
    nth = 0
    fired = True
    while fired:
        nth += 1
        world = World()
        try:
            world.disk.failing, world.disk.fail_at = call, nth
            _one_life(world)
            fired = world.disk.fired
            world.drain()
        finally:
            world.close()
    logged_errors.flush()
    print(f"R8: each of {nth - 1} calls of {call} failed once: lost 0")
    assert nth > 1


def _one_life(world: World) -> None:
    for _ in range(2):
        if not world.begin():
            continue
        for _ in range(6):
            world.print(50)
            world.clock.advance(SYNC_SECONDS)
            world.answer(200, stored=True)
            world.check()
        world.end()
        world.clock.advance(SYNC_SECONDS)
        world.answer(200, stored=True)
