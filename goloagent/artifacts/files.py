"""The files of artifacts: which are regular, and the SHA-256 of their content."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

# World-executable, because load tests may run as another user; the directories are private.
MODE = 0o555
Select = Callable[[bytes], bytes]
"""Returns the part of a block of a file that is copied."""
CHUNK_BYTES = 1024 * 1024
_LINK = re.compile(r"\.\./contents/([0-9a-f]{64})")


def is_binary(path: Path) -> bool:
    """Return whether `path` is a stored artifact: a file, or a link that `PendingUpload` made.

    Raises:
        OSError: the path or the target of its link cannot be examined.
    """
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode) and _LINK.fullmatch(str(path.readlink())):
        try:
            mode = (path.parent / path.readlink()).lstat().st_mode
        except FileNotFoundError:
            return False
    return stat.S_ISREG(mode)


def content_of(path: Path) -> str:
    """Return the SHA-256 of a binary's content: from the name of a link, or by reading a file.

    Raises:
        OSError: it cannot be read.
    """
    return path.readlink().name if path.is_symlink() else sha256_of(path)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal."""
    digest = hashlib.sha256()
    with open_regular(path) as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def copy_file(source: BinaryIO, target: Path, mode: int, select: Select | None) -> str:
    """Copy an open file to a new one; return the SHA-256 of what was read, in hexadecimal.

    Raises:
        OSError: a file cannot be read or written.
    """
    digest = hashlib.sha256()
    with target.open("xb") as copy:
        os.fchmod(copy.fileno(), mode)
        while chunk := source.read(CHUNK_BYTES):
            digest.update(chunk)
            copy.write(chunk if select is None else select(chunk))
    return digest.hexdigest()


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading.

    Opening a FIFO would block until it has a writer, and a device may have no end.

    Raises:
        FileNotFoundError: there is none, or another kind of file.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise FileNotFoundError(errno.ENOENT, "not a regular file", str(path))
    return path.open("rb")
