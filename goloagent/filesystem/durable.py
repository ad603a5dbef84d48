"""Makes written data durable: fsync of files, and of the directories that name them."""

from __future__ import annotations

import errno
import os
from pathlib import Path

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class SyncFailed(OSError):
    """The disk did not take what was written.

    Final: Linux forgets the pages that it could not write, so a second fsync succeeds without them.
    """


def sync(descriptor: int) -> None:
    """Have the disk take an open file or directory. Takes its time: not for the reactor thread.

    Raises:
        SyncFailed: it did not.
    """
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system without fsync of directories
            raise SyncFailed(error.errno, error.strerror) from error


def sync_directory(directory: Path) -> None:
    """Have the disk take which names a directory holds. Takes its time.

    Raises:
        SyncFailed: it did not.
        OSError: the directory cannot be opened, which says nothing of the disk.
    """
    descriptor = os.open(directory, _DIRECTORY)
    try:
        sync(descriptor)
    finally:
        os.close(descriptor)


def sync_way(directory: Path) -> None:
    """Have the disk take a directory and its own name, up to the root.

    A parent that the agent may not read was not made by the agent.

    Raises:
        SyncFailed: it did not.
        OSError: the directory itself cannot be opened.
    """
    sync_directory(directory)
    for parent in directory.absolute().parents:
        try:
            sync_directory(parent)
        except SyncFailed:
            raise
        except OSError:
            return
