"""How much may still be written: a floor of free space, and a limit to one run's log.

Both end a job before the disk is full, while there is room for what must not fail. Looks when it is
asked, and acts on nothing. Says as well which errors are a full disk's.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import attrs

# The floor is never more than this part of a file system: a small disk is of use too.
LARGEST_FLOOR = 0.1


def is_full(error: OSError) -> bool:
    """Tell whether the disk, or a quota on it, has no room for what was to be written."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


@attrs.frozen
class Space:
    """The file systems of `directories`, of which `min_free_bytes` stay free."""

    directories: tuple[Path, ...]
    min_free_bytes: int
    max_log_bytes: int
    look: Callable[[Path], os.statvfs_result] = os.statvfs

    def shortage(self) -> str | None:
        """Return a sentence when less than the floor is free, or None."""
        for directory in self.directories:
            try:
                disk = self.look(directory)
            except OSError as error:
                return f"The free space below {directory} cannot be known: {error}."
            free = _free_bytes(disk)
            floor = min(self.min_free_bytes, int(disk.f_blocks * disk.f_frsize * LARGEST_FLOOR))
            if free < floor:
                return f"{free} bytes are free below {directory}, and {floor} must stay free."
        return None

    def free_bytes(self, directory: Path) -> int:
        """Return how much may be written below `directory`.

        Raises:
            OSError: that cannot be known.
        """
        return _free_bytes(self.look(directory))

    def too_much(self, log_bytes: int) -> str | None:
        """Return a sentence when a run whose log is so long must not go on, or None."""
        if log_bytes > self.max_log_bytes:
            return f"The log of the run is longer than {self.max_log_bytes} bytes."
        return self.shortage()


def _free_bytes(disk: os.statvfs_result) -> int:
    return disk.f_bavail * disk.f_frsize
