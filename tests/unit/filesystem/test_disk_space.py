"""The free space at which jobs end or are refused."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from unit.runs.one_run import OneRun

from goloagent.filesystem.disk_space import MIN_FREE_INODES, DiskSpaceGuard, Excess, is_full
from goloagent.jobs.job import State
from goloagent.runs.recorder import CHECK_BYTES
from goloagent.runs.transitions import Phase

GIB = 2**30


def disk(free: int, size: int, inodes: int = 10**6, free_inodes: int = 10**6) -> os.statvfs_result:
    """Return the statvfs result for free bytes and inodes."""
    blocks = (4096, 4096, size // 4096, free // 4096, free // 4096)
    return os.statvfs_result((*blocks, inodes, free_inodes, free_inodes, 0, 255))


@pytest.mark.parametrize(
    ("free", "size", "short"),
    [
        (2 * GIB, 100 * GIB, False),
        (GIB, 100 * GIB, False),
        (GIB - 4096, 100 * GIB, True),
        (0, 100 * GIB, True),
        (2 * 2**20, 2 * 2**20, False),  # a small disk is of use until a tenth of it is left
        (100 * 1024, 2 * 2**20, True),
    ],
)
def test_r8_the_floor(free: int, size: int, short: bool) -> None:
    """The floor stays free, at most a tenth of the disk."""
    space = DiskSpaceGuard((Path("/logs"),), GIB, GIB, lambda _: disk(free, size))
    assert (space.check_free_space() is not None) is short


def test_an_unreadable_disk() -> None:
    """It counts as a fault."""

    def look(_: Path) -> os.statvfs_result:
        raise OSError(errno.EIO, "Input/output error")

    assert "Input/output error" in (
        DiskSpaceGuard((Path("/logs"),), 1, 1, look).check_free_space() or ""
    )


@pytest.mark.parametrize(
    ("code", "full"), [(errno.ENOSPC, True), (errno.EDQUOT, True), (errno.EIO, False)]
)
def test_errors_of_a_full_disk(code: int, full: bool) -> None:
    """An exceeded quota is a full disk; an I/O error is not."""
    assert is_full(OSError(code, os.strerror(code))) is full


def test_free_bytes() -> None:
    """They are those of other users than root, as of the last check."""
    answers: list[os.statvfs_result | OSError] = [disk(3 * GIB, 100 * GIB), OSError(errno.EIO, "")]

    def look(_: Path) -> os.statvfs_result:
        answer = answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer

    space, logs = DiskSpaceGuard((Path("/logs"),), 1, 1, look), Path("/logs")
    with pytest.raises(OSError, match="not known"):
        space.free_bytes(logs)
    assert space.fault() is None
    assert space.free_bytes(logs) == 3 * GIB
    assert len(answers) == 1
    assert space.fault() is not None
    with pytest.raises(OSError, match="not known"):
        space.free_bytes(logs)


def test_r8_the_limit_of_a_log() -> None:
    """A log may have the maximum length, and no byte more."""
    space = DiskSpaceGuard((Path("/logs"),), 1, 1000, lambda _: disk(GIB, 100 * GIB))
    assert space.check_run(1000) is None
    assert space.check_run(1001) is not None


def test_r8_a_run_ends_before_the_disk_is_full() -> None:
    """The disk is checked after each MiB, and the job has the reason."""
    run = OneRun().start()
    for happens in (run.prepared, run.launched, run.connected):
        happens()
    run.excess = Excess("The disk is about to be full.", urgent=True)
    run.watching.stdout(b"x" * (CHECK_BYTES - 1))
    assert "SIGTERM" not in run.story
    run.watching.stdout(b"x")
    assert "SIGTERM" in run.story
    run.exit()
    run.close()
    assert (run.job.state, run.job.cause and run.job.cause.reason) == (State.FAILED, "disk-full")


@pytest.mark.parametrize(
    "phase", [phase for phase in Phase if phase not in (Phase.CONNECTION_LOST, Phase.KILLING)]
)
def test_a_check_in_every_phase(phase: Phase) -> None:
    """The check once a second is handled in every phase."""
    run = OneRun().come_to(phase)
    run.excess = Excess("The disk is about to be full.", urgent=True)
    run.run.check_space()
    run.run.check_space()
    for call in run.clock.getDelayedCalls():
        call.cancel()


@pytest.mark.parametrize(
    ("inodes", "free", "status"),
    [
        (10**6, MIN_FREE_INODES, None),
        (10**6, MIN_FREE_INODES - 1, "no-inodes"),
        (10**6, 0, "no-inodes"),
        (100, 10, None),  # a small file system is of use until a tenth of them is left
        (100, 9, "no-inodes"),
        (0, 0, None),  # one that does not count them
    ],
)
def test_the_floor_of_inodes(inodes: int, free: int, status: str | None) -> None:
    """Without inodes nothing new is accepted, and a running job continues."""
    space = DiskSpaceGuard((Path("/logs"),), 1, GIB, lambda _: disk(GIB, GIB, inodes, free))
    fault = space.fault()
    assert (fault and fault.status) == status
    assert space.check_run(0) is None


def test_an_unreadable_disk_ends_no_run() -> None:
    """The fault may pass, and failed writes are detected anyway."""

    def look(_: Path) -> os.statvfs_result:
        raise OSError(errno.EIO, "Input/output error")

    assert DiskSpaceGuard((Path("/logs"),), 1, GIB, look).check_run(0) is None


@pytest.mark.parametrize(("free", "urgent"), [(GIB - 4096, False), (GIB // 2 - 4096, True)])
def test_below_half_of_the_floor_the_end_is_urgent(free: int, urgent: bool) -> None:
    """Just below the floor the shortage may pass."""
    excess = DiskSpaceGuard((Path("/logs"),), GIB, GIB, lambda _: disk(free, 100 * GIB)).check_run(
        0
    )
    assert excess is not None
    assert excess.urgent is urgent


def test_a_short_shortage_ends_no_run() -> None:
    """A lasting shortage ends it; the check is once a second."""
    run = OneRun(duration_seconds=60).come_to(Phase.RUNNING)
    for short in (True, True, False, True, True):
        run.excess = Excess("The disk is short of space.", urgent=False) if short else None
        run.run.check_space()
        run.clock.advance(1)
    assert "SIGTERM" not in run.story
    run.run.check_space()
    assert "SIGTERM" in run.story
    for call in run.clock.getDelayedCalls():
        call.cancel()
