"""A disk that loses unsynced data at a power cut: files, and names in directories.

Files are really written. Each fsync copies its file, and a power cut leaves only the copies, which
is the worst case. SQLite syncs its main file itself in a checkpoint, its only write to that file,
so that file is copied with each sync of its log.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

_DATABASE = ".sqlite"
_LOG = ".sqlite-wal"


class ShadowDisk:
    """Records the durable state below `root`; `synced` is called after each sync."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._fsync = os.fsync
        self._bytes: dict[int, bytes] = {}
        self._names: dict[int, dict[str, int]] = {}
        self._links: dict[int, str] = {}
        self._modes: dict[int, int] = {}
        self.synced: Callable[[], None] = lambda: None
        self.syncs = 0

    def fsync(self, descriptor: int) -> None:
        """Replace `os.fsync`."""
        status = os.fstat(descriptor)
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if not path.is_relative_to(self._root):
            return
        self._modes[status.st_ino] = stat.S_IFMT(status.st_mode)
        if stat.S_ISDIR(status.st_mode):
            self._names[status.st_ino] = dict(map(self._entry, path.iterdir()))
        else:
            self._copy(path)
            if path.name.endswith(_LOG):
                self._copy(path.with_name(path.name.replace(_LOG, _DATABASE)))
        self.syncs += 1
        self.synced()

    def cut_power(self, after: Path) -> None:
        """Write the durable state to the directory `after`."""
        self._make(self._root.stat().st_ino, after)

    def _entry(self, path: Path) -> tuple[str, int]:
        status = path.lstat()
        self._modes[status.st_ino] = stat.S_IFMT(status.st_mode)
        if path.is_symlink():
            self._links[status.st_ino] = str(path.readlink())
        return path.name, status.st_ino

    def _copy(self, path: Path) -> None:
        self._bytes[path.stat().st_ino] = path.read_bytes()

    def _make(self, inode: int, path: Path) -> None:
        if stat.S_ISLNK(self._modes.get(inode, 0)):
            path.symlink_to(self._links[inode])
        elif inode == self._root.stat().st_ino or stat.S_ISDIR(self._modes.get(inode, 0)):
            path.mkdir()
            for name, entry in self._names.get(inode, {}).items():
                self._make(entry, path / name)
        else:
            path.write_bytes(self._bytes.get(inode, b""))
