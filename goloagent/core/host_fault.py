"""Faults of the host: their names, and the errors that indicate one.

A fault of the host does not fail a job: it pauses the queue and shows in ``/health`` until it ends.
"""

from __future__ import annotations

import errno

import attrs

DISK_FULL = "disk-full"
NO_INODES = "no-inodes"
READ_ONLY = "read-only"
DISK_ERROR = "disk-error"
SLOW_DISK = "slow-disk"
RPC_PORT_BUSY = "rpc-port-busy"
RPC_ADDRESS = "rpc-address"
DATABASE_LOCKED = "database-locked"
NO_TASKS = "no-tasks"
NO_DESCRIPTORS = "no-descriptors"
NO_MEMORY = "no-memory"
LAUNCHER_FAILED = "launcher-failed"

DISK_FAULTS = frozenset({DISK_FULL, NO_INODES, READ_ONLY, DISK_ERROR, SLOW_DISK})
"""The faults during which nothing can be stored."""

_BY_ERRNO = {
    errno.ENOSPC: DISK_FULL,
    errno.EDQUOT: DISK_FULL,
    errno.EROFS: READ_ONLY,
    errno.EIO: DISK_ERROR,
    errno.ESTALE: DISK_ERROR,
    errno.ENODEV: DISK_ERROR,
    errno.ENXIO: DISK_ERROR,
    errno.EBUSY: DATABASE_LOCKED,
    errno.EAGAIN: NO_TASKS,
    errno.EMFILE: NO_DESCRIPTORS,
    errno.ENFILE: NO_DESCRIPTORS,
    errno.ENOMEM: NO_MEMORY,
    errno.ENOBUFS: NO_MEMORY,
}


@attrs.frozen
class HostFault:
    """A fault of the host: its `status` for programs, and a sentence to show."""

    status: str
    sentence: str


def status_of(error: BaseException) -> str | None:
    """Return the status of the fault that an error indicates, or None if it indicates none."""
    if isinstance(error, MemoryError):
        return NO_MEMORY
    if isinstance(error, OSError):
        return status_of_errno(error.errno)
    if isinstance(error, RuntimeError) and "start new thread" in str(error):
        return NO_TASKS
    return None


def status_of_errno(number: int | None) -> str | None:
    """Return the status of the fault that an errno indicates, or None."""
    return None if number is None else _BY_ERRNO.get(number)
