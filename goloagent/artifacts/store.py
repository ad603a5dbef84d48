"""Uploaded load tests on disk, below the state directory.

    incoming/<id>          bytes that are being uploaded
    contents/<sha256>      a complete content, stored once
    binaries/<id>          a symbolic link to the content of the binary with this id

The links are symbolic because file systems limit the number of hard links. They preserve the ids
if the database is lost. In a directory of version 0.1.0 `binaries/<id>` is a file, or a hard link
to another one of the same content; such binaries are used as they are.
"""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any
from uuid import uuid4

import attrs

from goloagent.artifacts.files import MODE, Select, copy_file, open_regular
from goloagent.artifacts.pending_upload import LINK_SUFFIX, PendingUpload
from goloagent.artifacts.quota import select_evictions
from goloagent.filesystem import durable
from goloagent.filesystem.removal import remove
from goloagent.jobs.database import Binary, Content, Store
from goloagent.jobs.ids import is_id

_REMOVED = ".removed"
# An id or a content, then a unique suffix, which version 0.1.0 did not add.
_SET_ASIDE = re.compile(r"([0-9a-f]{64}|[0-9a-f-]{36})(\.[0-9a-f]+)?\.removed")


class BinaryChanged(Exception):
    """The stored bytes are missing or differ from the upload; the message says which."""


class BinaryNeeded(Exception):
    """A queued or running job needs the binary."""


@attrs.frozen
class _Removed:
    """Files whose rows are removed by the database's change of this number."""

    change: int
    paths: list[Path]


@attrs.define(eq=False)
class ArtifactStore:
    """The binaries below `directory`, recorded in `store`.

    Args:
        now: returns the time of an upload.
        shortage: returns why there is no free space for another upload, or None.
        max_bytes: the quota of all binaries, each content counted once.
        on_evicted: called with an evicted content and the ids it had.
        in_thread: runs a function off the reactor thread.

    Attributes:
        changes: increases when there are changes to `sync`.
    """

    directory: Path
    store: Store
    now: Callable[[], datetime]
    shortage: Callable[[], str | None] = lambda: None
    max_bytes: int = sys.maxsize
    on_evicted: Callable[[Content, list[str]], None] = lambda content, ids: None
    in_thread: Callable[..., Any] = lambda function, *arguments: function(*arguments)
    changes: int = attrs.field(init=False, default=0)
    _removed: list[_Removed] = attrs.field(init=False, factory=list)

    @property
    def incoming(self) -> Path:
        """The directory of uploads in progress and of files to remove."""
        return self.directory / "incoming"

    @property
    def contents(self) -> Path:
        """The directory of complete contents, each named by its SHA-256."""
        return self.directory / "contents"

    @property
    def ids(self) -> Path:
        """The directory of links, each named by its binary's id."""
        return self.directory / "binaries"

    def open(self) -> list[Path]:
        """Make the directories; return leftover files of the previous process, to be removed.

        Complete binaries without a row stay, because the database may have been lost.

        Raises:
            OSError: a directory cannot be made or written.
        """
        for directory in (self.incoming, self.contents, self.ids):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            with TemporaryFile(dir=directory):
                pass
        durable.sync_directory(self.directory)
        with os.scandir(self.incoming) as entries:
            leftovers = [Path(entry.path) for entry in entries if _is_leftover(entry)]
        return [leftover for leftover in leftovers if not self._restore(leftover)]

    def sync(self) -> None:
        """Flush the directories; blocks: call it off the reactor thread.

        Raises:
            OSError: the changes may not be durable.
        """
        if self._removed:  # `incoming` first: a file moved there must not be missing from both
            durable.sync_directory(self.incoming)
        durable.sync_directory(self.contents)
        durable.sync_directory(self.ids)

    def committed(self, change: int) -> None:
        """Remove the files whose rows were removed by this change of the database or before."""
        done = [removed for removed in self._removed if removed.change <= change]
        self._removed = [removed for removed in self._removed if removed.change > change]
        if done:  # removing 1 GiB takes 0.25 s
            self.in_thread(_remove, [path for removed in done for path in removed.paths])

    def receive(self, name: str = "", is_program: bool = True) -> PendingUpload:
        """Begin an upload of a file called `name`, under a new id.

        Raises:
            OSError: its file cannot be made, or there is too little free space.
        """
        shortage = self.shortage()
        if shortage is not None:
            raise OSError(errno.ENOSPC, shortage)
        return PendingUpload(self, str(uuid4()), name, is_program)

    def remove(self, binary: Binary) -> None:
        """Remove a binary, and its content unless another binary has the same.

        The row is removed at once, the files by `committed`.

        Raises:
            BinaryNeeded: a queued or running job needs it.
            OSError: it cannot be removed.
        """
        if binary.id in self.store.needed_binaries():
            raise BinaryNeeded(f"a job that is not over needs binary {binary.id}")
        self.store.remove_binary(binary.id)
        paths = self._set_aside(self.ids / binary.id)
        if not self.store.binaries(1, sha256=binary.sha256):
            paths += self._set_aside(self.contents / binary.sha256)
        self._remove_once_committed(paths)

    def evict_for(self, incoming: Content) -> None:
        """Remove the oldest contents that no job needs, until the quota allows one more.

        Raises:
            QuotaExceeded: it does not, even without them; nothing was removed.
            OSError: one cannot be removed.
        """
        if self.store.bytes_with(incoming) <= self.max_bytes:
            return
        needed = {
            binary.sha256
            for binary in map(self.store.binary, self.store.needed_binaries())
            if binary is not None
        }
        for content in select_evictions(self.store.contents(), needed, incoming, self.max_bytes):
            ids = self.store.remove_content(content.sha256)
            paths = [self.ids / binary_id for binary_id in ids]
            self._remove_once_committed(paths + self._set_aside(self.contents / content.sha256))
            self.on_evicted(content, ids)

    def copy_verified(
        self, binary: Binary, target: Path, mode: int = MODE, select: Select | None = None
    ) -> None:
        """Copy `binary`, or what `select` returns of its blocks, to `target`; verify its SHA-256.

        A copy, not a link: a load test that runs as the agent's user could change the stored file.
        Blocks and uses no database: call it off the reactor thread.

        Raises:
            BinaryChanged: it is missing, or its content differs from the upload.
            OSError: it cannot be read or written.
        """
        try:
            source = open_regular(self.ids / binary.id)
        except FileNotFoundError:
            raise BinaryChanged(f"binary {binary.id} is gone since its upload") from None
        with source:
            sha256 = copy_file(source, target, mode, select)
        if sha256 != binary.sha256:
            target.unlink()
            raise BinaryChanged(f"binary {binary.id} has changed since its upload")

    def _restore(self, leftover: Path) -> bool:
        """Move back a file that was set aside if its row exists, after a loss of power."""
        name = leftover.name.partition(".")[0]
        is_id_needed = self.store.binary(name) is not None
        if leftover.suffix != _REMOVED or not (is_id_needed or self.store.binaries(1, sha256=name)):
            return False
        place = (self.ids if is_id_needed else self.contents) / name
        if place.is_symlink() or place.exists():
            return False
        leftover.rename(place)
        return True

    def _set_aside(self, path: Path) -> list[Path]:
        """Move a file to `incoming`, because the same content may be uploaded again meanwhile."""
        aside = self.incoming / f"{path.name}.{uuid4().hex}{_REMOVED}"
        try:
            path.rename(aside)
        except FileNotFoundError:
            return []  # a binary of version 0.1.0 has no content; or the file was removed
        return [aside]

    def _remove_once_committed(self, paths: list[Path]) -> None:
        self.changes += 1
        self._removed.append(_Removed(self.store.changes, paths))


def _is_leftover(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry of ``incoming/`` is a file named as the agent names those there."""
    if _SET_ASIDE.fullmatch(entry.name):
        return entry.is_symlink() or entry.is_file(follow_symlinks=False)
    return is_id(entry.name.removesuffix(LINK_SUFFIX)) and entry.is_file(follow_symlinks=False)


def _remove(paths: list[Path]) -> None:
    """Remove files or directories.

    Raises:
        OSError: the first error; everything else is removed.
    """
    first_error: OSError | None = None
    for path in paths:
        try:
            remove(path)
        except OSError as error:
            first_error = first_error or error
    if first_error is not None:
        raise first_error
