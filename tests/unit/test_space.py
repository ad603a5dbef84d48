"""How much may be written before a job ends or is refused."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from unit.runs.one_run import OneRun

from goloagent.jobs.job import State
from goloagent.jobs.lifecycle import Phase
from goloagent.runs.run import _CHECK_BYTES
from goloagent.space import Space, is_full

GIB = 2**30


def disk(free: int, size: int) -> os.statvfs_result:
    """Return how a file system says that so many bytes are free."""
    return os.statvfs_result(
        (4096, 4096, size // 4096, free // 4096, free // 4096, 1, 1, 1, 0, 255)
    )


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
    space = Space((Path("/logs"),), GIB, GIB, lambda _: disk(free, size))
    assert (space.shortage() is not None) is short


def test_a_disk_that_cannot_be_looked_at() -> None:
    """It is as good as full."""

    def look(_: Path) -> os.statvfs_result:
        raise OSError(errno.EIO, "Input/output error")

    assert "Input/output error" in (Space((Path("/logs"),), 1, 1, look).shortage() or "")


@pytest.mark.parametrize(
    ("code", "full"), [(errno.ENOSPC, True), (errno.EDQUOT, True), (errno.EIO, False)]
)
def test_which_errors_are_a_full_disks(code: int, full: bool) -> None:
    """A quota that is used up is a full disk; a broken disk is not."""
    assert is_full(OSError(code, os.strerror(code))) is full


def test_what_is_free_is_told() -> None:
    """It is what others than root may write."""
    space = Space((Path("/logs"),), 1, 1, lambda _: disk(3 * GIB, 100 * GIB))
    assert space.free_bytes(Path("/logs")) == 3 * GIB


def test_r8_the_limit_of_a_log() -> None:
    """A log may be as long as it may be, and not a byte longer."""
    space = Space((Path("/logs"),), 1, 1000, lambda _: disk(GIB, 100 * GIB))
    assert space.too_much(1000) is None
    assert space.too_much(1001) is not None


def test_r8_a_run_ends_before_the_disk_is_full() -> None:
    """It is looked at after a MiB, and the job says why it ends."""
    run = OneRun().start()
    for happens in (run.prepared, run.launched, run.connected):
        happens()
    run.shortage = "The disk is about to be full."
    run.watching.stdout(b"x" * (_CHECK_BYTES - 1))
    assert "SIGTERM" not in run.story
    run.watching.stdout(b"x")
    assert "SIGTERM" in run.story
    run.exit()
    run.close()
    assert (run.job.state, run.job.cause and run.job.cause.reason) == (State.FAILED, "disk-full")


@pytest.mark.parametrize(
    "phase", [phase for phase in Phase if phase not in (Phase.PARTING, Phase.KILLING)]
)
def test_a_look_at_any_moment(phase: Phase) -> None:
    """The look that comes once a second finds an answer in every phase."""
    run = OneRun().come_to(phase)
    run.shortage = "The disk is about to be full."
    run.run.check_space()
    run.run.check_space()
    for call in run.clock.getDelayedCalls():
        call.cancel()
