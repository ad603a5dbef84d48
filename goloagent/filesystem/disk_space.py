"""The disk space guard: a floor of free bytes and inodes, and a limit to one run's log.

The floor keeps room for what must not fail: the end of a run, the database. Looks when it is asked,
and acts on nothing. Says as well which errors are a full disk's.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import attrs

from goloagent.core.host_fault import DISK_ERROR, DISK_FULL, NO_INODES, HostFault

# The floor is never more than this part of a file system: a small disk is of use too.
LARGEST_FLOOR = 0.1
# A run and an upload need some ten inodes each.
MIN_FREE_INODES = 64
# Uploads leave so many times the floor free, as no upload may end a running job.
UPLOAD_FLOORS = 2


def is_full(error: OSError) -> bool:
    """Tell whether the disk, or a quota on it, has no room for what was to be written."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


@attrs.frozen
class Excess:
    """Why a run must not go on, unless that passes in a moment; an urgent one cannot wait."""

    sentence: str
    urgent: bool


@attrs.frozen
class DiskSpaceGuard:
    """The file systems of `directories`, of which `min_free_bytes` stay free."""

    directories: tuple[Path, ...]
    min_free_bytes: int
    max_log_bytes: int
    look: Callable[[Path], os.statvfs_result] = os.statvfs
    _free: dict[Path, int] = attrs.field(factory=dict, init=False, eq=False)

    def check_free_space(self) -> str | None:
        """Return a sentence when less than the floor is free, or None."""
        fault = self.fault()
        return None if fault is None else fault.sentence

    def fault(self) -> HostFault | None:
        """Return what keeps new work from being stored, or None."""
        faults = [self._fault_of(directory) for directory in self.directories]
        return next(filter(None, faults), None)

    def free_bytes(self, directory: Path) -> int:
        """Return how much could be written below `directory` when `fault` was last asked.

        It waits for no disk.

        Raises:
            OSError: that is not known.
        """
        if directory not in self._free:
            raise OSError(errno.EIO, "the free space is not known")
        return self._free[directory]

    def _fault_of(self, directory: Path) -> HostFault | None:
        try:
            disk = self.look(directory)
        except OSError as error:
            self._free.pop(directory, None)
            sentence = f"The free space below {directory} cannot be known: {error}."
            return HostFault(DISK_ERROR, sentence)
        free, floor = _free_bytes(disk), self._floor(disk)
        self._free[directory] = free
        if free < floor:
            return HostFault(DISK_FULL, _bytes_sentence(directory, free, floor))
        inodes = _min_free_inodes(disk)
        if disk.f_favail < inodes:
            return HostFault(
                NO_INODES,
                f"{disk.f_favail} inodes are free below {directory}, and {inodes} must stay"
                " free; remove files.",
            )
        return None

    def upload_room(self, directory: Path) -> int:
        """Return how much uploads may write below `directory`: they stop at twice the floor.

        Raises:
            OSError: that cannot be known.
        """
        disk = self.look(directory)
        return _free_bytes(disk) - UPLOAD_FLOORS * self._floor(disk)

    def check_run(self, log_bytes: int) -> Excess | None:
        """Return why a run whose log is so long must not go on, or None.

        A run can go on without an inode, and with a disk that cannot be looked at. Below half of
        the floor there is no time to lose.
        """
        if log_bytes > self.max_log_bytes:
            sentence = f"The log of the run is longer than {self.max_log_bytes} bytes (--max-log)."
            return Excess(sentence, urgent=True)
        for directory in self.directories:
            try:
                disk = self.look(directory)
            except OSError:
                continue
            free, floor = _free_bytes(disk), self._floor(disk)
            if free < floor:
                return Excess(_bytes_sentence(directory, free, floor), urgent=free < floor // 2)
        return None

    def _floor(self, disk: os.statvfs_result) -> int:
        return min(self.min_free_bytes, int(disk.f_blocks * disk.f_frsize * LARGEST_FLOOR))


def _free_bytes(disk: os.statvfs_result) -> int:
    return disk.f_bavail * disk.f_frsize


def _min_free_inodes(disk: os.statvfs_result) -> int:
    """Return how many inodes must stay free: none where the file system does not count them."""
    return min(MIN_FREE_INODES, int(disk.f_files * LARGEST_FLOOR))


def _bytes_sentence(directory: Path, free: int, floor: int) -> str:
    return f"{free} bytes are free below {directory}, and {floor} must stay free."
