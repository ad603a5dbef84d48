"""Uploads stop before they take the free space of a running job."""

from __future__ import annotations

import os
from contextlib import suppress
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goloagent.artifacts.upload_space import NoSpace, Reservation, UploadSpace

KIB = 1024
MIB = 1024 * KIB


class Disk:
    """A disk with `free_bytes` for uploads."""

    def __init__(self, free_bytes: int) -> None:
        self.free_bytes = free_bytes
        self.space = UploadSpace(lambda: self.free_bytes)
        self.ended: list[Reservation] = []

    def reserve(self, announced: int) -> Reservation:
        """Reserve space for an upload that ends when it is aborted."""
        reservation = self.space.reserve(announced, lambda error: self.end(reservation))
        return reservation

    def write(self, reservation: Reservation, count: int) -> None:
        """Receive and write bytes of an upload."""
        reservation.use(count)
        self.free_bytes -= count

    def end(self, reservation: Reservation) -> None:
        """End an upload."""
        reservation.release()
        self.ended.append(reservation)


def test_announced_lengths_are_reserved() -> None:
    """An upload that exceeds the unreserved space is refused; a released reservation is free."""
    disk = Disk(10 * MIB)
    first = disk.reserve(6 * MIB)
    with pytest.raises(NoSpace, match=f"uploads may write {4 * MIB} bytes"):
        disk.reserve(4 * MIB + 1)
    second = disk.reserve(4 * MIB)
    for _ in range(6):
        disk.write(first, MIB)
    with pytest.raises(NoSpace):
        disk.reserve(1)
    assert disk.free_bytes == 4 * MIB
    second.release()
    second.release()
    disk.reserve(4 * MIB)


def test_unannounced_bytes_count_when_received() -> None:
    """A chunked upload does not use the reservations of others."""
    disk = Disk(10 * MIB)
    chunked = disk.reserve(0)
    disk.reserve(8 * MIB)
    disk.write(chunked, MIB)
    with pytest.raises(NoSpace):  # noqa: PT012 (it fails at some block)
        for _ in range(8):
            disk.write(chunked, 256 * KIB)
    assert disk.free_bytes >= 8 * MIB - 256 * KIB


def test_a_disk_that_another_program_fills() -> None:
    """An upload ends at its next bytes or at the next check, whichever comes first."""
    disk = Disk(10 * MIB)
    active, stalled = disk.reserve(MIB), disk.reserve(MIB)
    disk.space.abort_if_low()
    assert disk.ended == []
    disk.free_bytes = -1
    with pytest.raises(NoSpace, match="too little is free"):
        disk.write(active, 300 * KIB)
    disk.end(active)
    disk.space.abort_if_low()
    assert disk.ended == [active, stalled]


def test_unknown_free_space() -> None:
    """The error of the disk is raised, and no space is reserved."""

    def fail() -> int:
        raise OSError(5, os.strerror(5))

    space = UploadSpace(fail)
    space.abort_if_low()  # checks nothing, because there is no upload
    with pytest.raises(OSError, match="Input/output"):
        space.reserve(1, lambda error: None)
    space.free_bytes = lambda: 1
    space.reserve(1, lambda error: None)


@given(
    st.lists(st.tuples(st.integers(0, 8 * MIB), st.booleans()), max_size=8),
    st.integers(0, 16 * MIB),
    st.randoms(use_true_random=False),
)
def test_uploads_never_exceed_the_free_space(
    uploads: list[tuple[int, bool]], free_bytes: int, chance: Random
) -> None:
    """Announced or not, in any order, they leave the free space of running jobs."""
    disk = Disk(free_bytes)
    uploading: list[tuple[Reservation, int]] = []
    for size, is_announced in uploads:
        with suppress(NoSpace):
            uploading.append((disk.reserve(size if is_announced else 0), size))
    unchecked = 256 * KIB * len(uploading)
    while uploading:
        index = chance.randrange(len(uploading))
        reservation, left = uploading.pop(index)
        block = min(left, 64 * KIB)
        try:
            disk.write(reservation, block)
        except NoSpace:
            disk.end(reservation)
            continue
        if left > block:
            uploading.append((reservation, left - block))
        else:
            disk.end(reservation)
    assert disk.free_bytes >= -unchecked
