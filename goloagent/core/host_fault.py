"""Faults of the machine: what they are called, and which errors mean one.

The machine's fault is no job's own: it pauses the queue, shows in ``/health`` and passes.
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

OF_DISK = frozenset({DISK_FULL, NO_INODES, READ_ONLY, DISK_ERROR, SLOW_DISK})
"""Those with which nothing new can be stored."""

_OF_ERRORS = {
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
    """What is wrong with the machine: a `status` for programs and a sentence for people."""

    status: str
    sentence: str


def status_of(error: BaseException) -> str | None:
    """Return the status of the fault that an error means, or None: it is not the machine's."""
    if isinstance(error, MemoryError):
        return NO_MEMORY
    if isinstance(error, OSError):
        return status_of_errno(error.errno)
    if isinstance(error, RuntimeError) and "start new thread" in str(error):
        return NO_TASKS
    return None


def status_of_errno(number: int | None) -> str | None:
    """Return the status of the fault that an error number means, or None."""
    return None if number is None else _OF_ERRORS.get(number)
