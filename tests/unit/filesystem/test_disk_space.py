"""How much may be written before a job ends or is refused."""

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
    """Return how a file system says that so many bytes and inodes are free."""
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
    """So much stays free, but never more than a tenth of a disk."""
    space = DiskSpaceGuard((Path("/logs"),), GIB, GIB, lambda _: disk(free, size))
    assert (space.check_free_space() is not None) is short


def test_a_disk_that_cannot_be_looked_at() -> None:
    """It is as good as full."""

    def look(_: Path) -> os.statvfs_result:
        raise OSError(errno.EIO, "Input/output error")

    assert "Input/output error" in (
        DiskSpaceGuard((Path("/logs"),), 1, 1, look).check_free_space() or ""
    )


@pytest.mark.parametrize(
    ("code", "full"), [(errno.ENOSPC, True), (errno.EDQUOT, True), (errno.EIO, False)]
)
def test_which_errors_are_a_full_disks(code: int, full: bool) -> None:
    """A quota that is used up is a full disk; a broken disk is not."""
    assert is_full(OSError(code, os.strerror(code))) is full


def test_what_is_free_is_told() -> None:
    """It is what others than root may write, as of the last look: to tell it waits for no disk."""
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
    """A log may be as long as it may be, and not a byte longer."""
    space = DiskSpaceGuard((Path("/logs"),), 1, 1000, lambda _: disk(GIB, 100 * GIB))
    assert space.check_run(1000) is None
    assert space.check_run(1001) is not None


def test_r8_a_run_ends_before_the_disk_is_full() -> None:
    """It is looked at after a MiB, and the job says why it ends."""
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
def test_a_look_at_any_moment(phase: Phase) -> None:
    """The look that comes once a second finds an answer in every phase."""
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
    """Without inodes nothing new can be stored, and a run that has its files goes on."""
    space = DiskSpaceGuard((Path("/logs"),), 1, GIB, lambda _: disk(GIB, GIB, inodes, free))
    fault = space.fault()
    assert (fault and fault.status) == status
    assert space.check_run(0) is None


def test_a_run_goes_on_where_the_disk_cannot_be_looked_at() -> None:
    """That may pass, and what cannot be written shows when it is written."""

    def look(_: Path) -> os.statvfs_result:
        raise OSError(errno.EIO, "Input/output error")

    assert DiskSpaceGuard((Path("/logs"),), 1, GIB, look).check_run(0) is None


@pytest.mark.parametrize(("free", "urgent"), [(GIB - 4096, False), (GIB // 2 - 4096, True)])
def test_below_half_of_the_floor_there_is_no_time_to_lose(free: int, urgent: bool) -> None:
    """Just below the floor there is, in which the shortage may pass."""
    excess = DiskSpaceGuard((Path("/logs"),), GIB, GIB, lambda _: disk(free, 100 * GIB)).check_run(
        0
    )
    assert excess is not None
    assert excess.urgent is urgent


def test_a_shortage_that_passes_ends_no_run() -> None:
    """One that lasts does: the run is looked at once a second."""
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
