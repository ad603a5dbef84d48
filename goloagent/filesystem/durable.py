"""Durable writes: fsync of files, and of the directories that name them."""

from __future__ import annotations

import errno
import os
from pathlib import Path

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class SyncFailed(OSError):
    """Written data may be lost.

    It is final: Linux drops the pages that it could not write, so a second fsync would succeed.
    """


def sync(descriptor: int) -> None:
    """Sync an open file or directory; not in the reactor thread.

    Raises:
        SyncFailed: the system reports an error.
    """
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system without fsync of directories
            raise SyncFailed(error.errno, error.strerror) from error


def sync_directory(directory: Path) -> None:
    """Sync the names in a directory; not in the reactor thread.

    Raises:
        SyncFailed: the system reports an error.
        OSError: the directory cannot be opened, which is no fault of the disk.
    """
    descriptor = os.open(directory, _DIRECTORY)
    try:
        sync(descriptor)
    finally:
        os.close(descriptor)


def sync_way(directory: Path) -> None:
    """Sync a directory and its parents, up to the root or an unreadable one.

    Raises:
        SyncFailed: the system reports an error.
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
