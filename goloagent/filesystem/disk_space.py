"""The disk space guard: a minimum of free bytes and inodes, and a maximum for one run's log.

The free space is for writes that must not fail: the end of a run, the database.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import attrs

from goloagent.core.host_fault import DISK_ERROR, DISK_FULL, NO_INODES, HostFault

# Of the file system, so that a small disk is usable.
MAX_FLOOR_RATIO = 0.1
# A run and an upload need some ten inodes each.
MIN_FREE_INODES = 64
# Uploads stop at this multiple of the floor, so that no upload ends a running job.
UPLOAD_FLOORS = 2


def is_full(error: OSError) -> bool:
    """Return whether the disk, or a quota on it, was full."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


@attrs.frozen
class Excess:
    """The reason to end a run, after a short wait unless it is urgent."""

    sentence: str
    urgent: bool


@attrs.frozen
class DiskSpaceGuard:
    """Guards `min_free_bytes` on the file systems of `directories`."""

    directories: tuple[Path, ...]
    min_free_bytes: int
    max_log_bytes: int
    statvfs: Callable[[Path], os.statvfs_result] = os.statvfs
    _free: dict[Path, int] = attrs.field(factory=dict, init=False, eq=False)

    def check_free_space(self) -> str | None:
        """Return a sentence if less than the floor is free, or None."""
        fault = self.fault()
        return None if fault is None else fault.sentence

    def fault(self) -> HostFault | None:
        """Return the fault that prevents new work, or None."""
        faults = [self._fault_of(directory) for directory in self.directories]
        return next(filter(None, faults), None)

    def free_bytes(self, directory: Path) -> int:
        """Return the free bytes below `directory` as of the last `fault`, without a system call.

        Raises:
            OSError: they are not known.
        """
        if directory not in self._free:
            raise OSError(errno.EIO, "the free space is not known")
        return self._free[directory]

    def _fault_of(self, directory: Path) -> HostFault | None:
        try:
            disk = self.statvfs(directory)
        except OSError as error:
            self._free.pop(directory, None)
            sentence = f"The free space below {directory} cannot be read: {error}."
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
        """Return the bytes that uploads may write below `directory`, down to twice the floor.

        Raises:
            OSError: it cannot be read.
        """
        disk = self.statvfs(directory)
        return _free_bytes(disk) - UPLOAD_FLOORS * self._floor(disk)

    def check_run(self, log_bytes: int) -> Excess | None:
        """Return the reason to end a run with a log of `log_bytes`, or None.

        Inodes and unreadable disks end no run. Below half of the floor the reason is urgent.
        """
        if log_bytes > self.max_log_bytes:
            sentence = f"The log of the run is longer than {self.max_log_bytes} bytes (--max-log)."
            return Excess(sentence, urgent=True)
        for directory in self.directories:
            try:
                disk = self.statvfs(directory)
            except OSError:
                continue
            free, floor = _free_bytes(disk), self._floor(disk)
            if free < floor:
                return Excess(_bytes_sentence(directory, free, floor), urgent=free < floor // 2)
        return None

    def _floor(self, disk: os.statvfs_result) -> int:
        return min(self.min_free_bytes, int(disk.f_blocks * disk.f_frsize * MAX_FLOOR_RATIO))


def _free_bytes(disk: os.statvfs_result) -> int:
    return disk.f_bavail * disk.f_frsize


def _min_free_inodes(disk: os.statvfs_result) -> int:
    """Return the minimum of free inodes: 0 if the file system does not count them."""
    return min(MIN_FREE_INODES, int(disk.f_files * MAX_FLOOR_RATIO))


def _bytes_sentence(directory: Path, free: int, floor: int) -> str:
    return f"{free} bytes are free below {directory}, and {floor} must stay free."
