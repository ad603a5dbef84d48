"""The files of artifacts: which are regular, and the SHA-256 of their content."""

from __future__ import annotations

import errno
import hashlib
import re
import stat
from pathlib import Path
from typing import BinaryIO

# World-executable, because load tests may run as another user; the directories are private.
MODE = 0o555
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


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading.

    Opening a FIFO would block until it has a writer, and a device may have no end.

    Raises:
        FileNotFoundError: there is none, or another kind of file.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise FileNotFoundError(errno.ENOENT, "not a regular file", str(path))
    return path.open("rb")
