"""Uploads stop before a running job has to, whatever they announce and whoever fills the disk."""

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
    """A disk with so much room for uploads."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.space = UploadSpace(lambda: self.room)
        self.ended: list[Reservation] = []

    def reserve(self, announced: int) -> Reservation:
        """Reserve for an upload that ends when it is to give way."""
        reservation = self.space.reserve(announced, lambda error: self.end(reservation))
        return reservation

    def write(self, reservation: Reservation, count: int) -> None:
        """Have bytes of an upload come, and write them."""
        reservation.use(count)
        self.room -= count

    def end(self, reservation: Reservation) -> None:
        """End an upload."""
        reservation.release()
        self.ended.append(reservation)


def test_what_is_announced_is_reserved() -> None:
    """Uploads that are announced have their room, and what they do not leave nobody gets."""
    disk = Disk(10 * MIB)
    first = disk.reserve(6 * MIB)
    with pytest.raises(NoSpace, match=f"uploads may write {4 * MIB} bytes"):
        disk.reserve(4 * MIB + 1)
    disk.reserve(4 * MIB)
    for _ in range(6):
        disk.write(first, MIB)
    with pytest.raises(NoSpace):
        disk.reserve(1)
    assert disk.room == 4 * MIB


def test_what_is_released_is_there_for_others() -> None:
    """An upload that is refused, cut or kept holds nothing any more."""
    disk = Disk(10 * MIB)
    first = disk.reserve(10 * MIB)
    first.release()
    first.release()
    disk.reserve(10 * MIB)


def test_what_is_not_announced_counts_as_it_comes() -> None:
    """A chunked upload takes nothing of what others have reserved."""
    disk = Disk(10 * MIB)
    chunked = disk.reserve(0)
    disk.reserve(8 * MIB)
    disk.write(chunked, MIB)
    with pytest.raises(NoSpace):  # noqa: PT012 (it fails at some block)
        for _ in range(8):
            disk.write(chunked, 256 * KIB)
    assert disk.room >= 8 * MIB - 256 * KIB


def test_a_disk_that_others_fill() -> None:
    """An upload under way ends at its next bytes, or at the next check, whichever comes first."""
    disk = Disk(10 * MIB)
    writes, sleeps = disk.reserve(MIB), disk.reserve(MIB)
    disk.space.abort_if_low()
    assert disk.ended == []
    disk.room = -1
    with pytest.raises(NoSpace, match="too little is free"):
        disk.write(writes, 300 * KIB)
    disk.end(writes)
    disk.space.abort_if_low()
    assert disk.ended == [writes, sleeps]


def test_a_disk_that_cannot_be_looked_at() -> None:
    """It is the disk's error, and nothing is reserved."""

    def room() -> int:
        raise OSError(5, os.strerror(5))

    space = UploadSpace(room)
    space.abort_if_low()  # nothing to look for
    with pytest.raises(OSError, match="Input/output"):
        space.reserve(1, lambda error: None)
    space.free_bytes = lambda: 1
    space.reserve(1, lambda error: None)


@given(
    st.lists(st.tuples(st.integers(0, 8 * MIB), st.booleans()), max_size=8),
    st.integers(0, 16 * MIB),
    st.randoms(use_true_random=False),
)
def test_uploads_alone_never_take_more_than_there_is(
    uploads: list[tuple[int, bool]], room: int, chance: Random
) -> None:
    """Announced or not, in any order: the room left for running jobs is never touched."""
    disk = Disk(room)
    under_way: list[tuple[Reservation, int]] = []
    for size, is_announced in uploads:
        with suppress(NoSpace):
            under_way.append((disk.reserve(size if is_announced else 0), size))
    unchecked = 256 * KIB * len(under_way)
    while under_way:
        index = chance.randrange(len(under_way))
        reservation, left = under_way.pop(index)
        block = min(left, 64 * KIB)
        try:
            disk.write(reservation, block)
        except NoSpace:
            disk.end(reservation)
            continue
        if left > block:
            under_way.append((reservation, left - block))
        else:
            disk.end(reservation)
    assert disk.room >= -unchecked
