"""Uploaded load tests on disk: written aside, whole or nothing, then staged for a run.

    incoming/<id>          bytes that are being uploaded
    contents/<sha256>      a content that is complete and can be run, once
    binaries/<id>          a link to the content of the binary with this id

All lie below the state directory. The links are symbolic, as a file system allows any number of
them; so any number of binaries may share a content, and without the database their ids are still
known. In a directory of version 0.1.0 `binaries/<id>` is a file, or a hard link to another one of
the same content; it is read as it is. Knows files and checks; does not know HTTP or who asks.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from io import FileIO
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, BinaryIO
from uuid import uuid4

import attrs

from goloagent.artifacts.quota import select_evictions
from goloagent.filesystem import durable
from goloagent.filesystem.removal import remove
from goloagent.jobs.database import Binary, Content, Store
from goloagent.jobs.ids import is_id

_MAGIC = (b"\x7fELF", b"#!")
# Everyone may run it, as load tests may have a user of their own; few get to it.
_MODE = 0o555
_CHUNK_BYTES = 1024 * 1024
_REMOVED = ".removed"
_TWIN = ".twin"
# An id or a content, removed with the change of that number; in version 0.1.0 there is none.
_SET_ASIDE = re.compile(r"([0-9a-f]{64}|[0-9a-f-]{36})(\.[0-9a-f]+)?\.removed")
_LINK = re.compile(r"\.\./contents/([0-9a-f]{64})")


class NotExecutable(Exception):
    """The bytes are neither an ELF file nor a script that starts with ``#!``."""


class BinaryExists(Exception):
    """A binary with this id is there already; the message says so as clients know it."""


class BinaryChanged(Exception):
    """The stored bytes are gone or are not those that were uploaded; the message says which."""


class BinaryNeeded(Exception):
    """A job that is not over may still run the binary."""


@attrs.frozen
class _Removed:
    """Files of binaries whose rows are gone with the change of this number."""

    change: int
    paths: list[Path]


@attrs.define(eq=False)
class ArtifactStore:
    """The binaries below `directory`, recorded in `store`.

    Args:
        now: gives the time of an upload.
        shortage: returns a sentence when the disk has no room for another, or None.
        most_bytes: what all of them may hold, each content counted once.
        dropped: called with a content that had to make room for another, and the ids it had.
        in_thread: runs a function off the reactor thread.

    Attributes:
        changes: grows when there is something to `sync`.
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
        """Where uploads are written until they are complete."""
        return self.directory / "incoming"

    @property
    def contents(self) -> Path:
        """Where complete contents lie, each named by its SHA-256."""
        return self.directory / "contents"

    @property
    def ids(self) -> Path:
        """Where each id is."""
        return self.directory / "binaries"

    def open(self) -> list[Path]:
        """Make the directories; return the files that an earlier life did not finish or remove.

        They are known by their names, and may be removed when there is time. Complete binaries
        without a record stay: the database may have lost it.

        Raises:
            OSError: they cannot be made or written.
        """
        for directory in (self.incoming, self.contents, self.ids):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            with TemporaryFile(dir=directory):
                pass
        durable.sync_directory(self.directory)
        with os.scandir(self.incoming) as entries:
            parts = [Path(entry.path) for entry in entries if _is_part(entry)]
        return [part for part in parts if not self._put_back(part)]

    def _put_back(self, leftover: Path) -> bool:
        """Put back what was set aside to be removed, if a power cut has kept its row."""
        name = leftover.name.partition(".")[0]
        if leftover.suffix != _REMOVED:
            return False
        if self.store.binary(name) is not None:
            place = self.ids / name
        elif self.store.binaries(1, sha256=name):
            place = self.contents / name
        else:
            return False
        if place.is_symlink() or place.exists():
            return False
        leftover.rename(place)
        return True

    def sync(self) -> None:
        """Have the disk take which binaries are there. Takes its time: not for the reactor thread.

        Raises:
            OSError: it may not have.
        """
        if self._removed:  # first where things are set aside: no moment may have them nowhere
            durable.sync_directory(self.incoming)
        durable.sync_directory(self.contents)
        durable.sync_directory(self.ids)

    def committed(self, change: int) -> None:
        """Remove the files of what was removed, as the store has made this change durable."""
        done = [removed for removed in self._removed if removed.change <= change]
        self._removed = [removed for removed in self._removed if removed.change > change]
        if done:  # to let go of a gigabyte takes a quarter of a second
            self.in_thread(_remove, [path for removed in done for path in removed.paths])

    def receive(self) -> PendingUpload:
        """Begin an upload under a fresh id.

        Raises:
            OSError: its file cannot be made, or there is no room.
        """
        sentence = self.shortage()
        if sentence is not None:
            raise OSError(errno.ENOSPC, sentence)
        return PendingUpload(self, str(uuid4()))

    def remove(self, binary: Binary) -> None:
        """Remove a binary; its content goes with the last one that holds it.

        The row goes at once, the files when that is durable: see `committed`.

        Raises:
            BinaryNeeded: a job that is not over may still run it.
            OSError: it cannot be removed.
        """
        if binary.id in self.store.needed_binaries():
            raise BinaryNeeded(f"a job that is not over needs binary {binary.id}")
        self.store.remove_binary(binary.id)
        paths = self._set_aside(self.ids / binary.id)
        if not self.store.binaries(1, sha256=binary.sha256):
            paths += self._set_aside(self.contents / binary.sha256)
        self._remove_later(paths)

    def evict_for(self, coming: Content) -> None:
        """Remove the oldest contents until there is room for one more; no job may need them.

        Raises:
            QuotaExceeded: it is not to be had.
            OSError: one cannot be removed.
        """
        if self.store.bytes_with(coming) <= self.max_bytes:
            return
        needed = {
            binary.sha256
            for binary in map(self.store.binary, self.store.needed_binaries())
            if binary is not None
        }
        for content in select_evictions(self.store.contents(), needed, coming, self.max_bytes):
            ids = self.store.remove_content(content.sha256)
            # The links lead nowhere then; there may be very many.
            paths = [self.ids / binary_id for binary_id in ids]
            self._remove_later(paths + self._set_aside(self.contents / content.sha256))
            self.on_evicted(content, ids)

    def _set_aside(self, path: Path) -> list[Path]:
        """Rename a file to where it waits to be removed: the same content may come meanwhile."""
        aside = self.incoming / f"{path.name}.{uuid4().hex}{_REMOVED}"
        try:
            path.rename(aside)
        except FileNotFoundError:
            return []  # contents of 0.1.0 are elsewhere; or somebody has removed it
        return [aside]

    def _remove_later(self, paths: list[Path]) -> None:
        self.changes += 1
        self._removed.append(_Removed(self.store.changes, paths))

    def copy_verified(self, binary: Binary, target: Path) -> None:
        """Copy `binary` to `target` and check the bytes that were copied.

        A copy and no link: whose the file is, such as a load test with the agent's own user, may
        change its mode and then its bytes.

        Touches no database, and reads the whole file: call it off the reactor thread.

        Raises:
            BinaryChanged: it is gone, or its content is not what was uploaded.
            OSError: it cannot be read or written.
        """
        try:
            source = _open_file(self.ids / binary.id)
        except FileNotFoundError:
            raise BinaryChanged(f"binary {binary.id} is gone since its upload") from None
        digest = hashlib.sha256()
        with source, target.open("xb") as copy:
            while chunk := source.read(_CHUNK_BYTES):
                digest.update(chunk)
                copy.write(chunk)
            os.fchmod(copy.fileno(), _MODE)
        if digest.hexdigest() != binary.sha256:
            target.unlink()
            raise BinaryChanged(f"binary {binary.id} has changed since its upload")


class PendingUpload:
    """One upload being written; ends with `commit` or `discard`."""

    def __init__(self, binaries: ArtifactStore, binary_id: str) -> None:
        self._binaries = binaries
        self.id = binary_id
        self._part = binaries.incoming / binary_id
        self._head = b""
        self._size = 0
        self._sha256 = hashlib.sha256()
        self._file = self._open("xb")

    def write(self, data: bytes) -> None:
        """Append bytes of the upload. May take its time, when the disk has much to do.

        Raises:
            OSError: they cannot be written; the upload must then be discarded.
        """
        self._head = (self._head + data[:4])[:4]
        self._size += len(data)
        self._sha256.update(data)
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest) :]

    def _open(self, mode: str) -> FileIO:
        return FileIO(self._part, mode)

    @property
    def content(self) -> Content:
        """What was written so far."""
        return Content(self._sha256.hexdigest(), self._size)

    def duplicate(self) -> Binary | None:
        """Return the newest binary that holds the same, or None."""
        return next(iter(self._binaries.store.binaries(1, sha256=self.content.sha256)), None)

    def sync(self, twin: Binary | None = None) -> None:
        """Have the disk hold what was written, in the file of `twin` where that is as it was.

        Takes its time: call it off the reactor thread.

        Raises:
            NotExecutable: no kernel would run it. It is discarded.
            OSError: it does not; the upload must then be discarded.
        """
        self._check()
        if twin is None or not any(map(self._share, self._files_of(twin))):
            os.fsync(self._file.fileno())

    def _files_of(self, twin: Binary) -> Iterator[Path]:
        yield self._binaries.contents / twin.sha256
        of_first_version = self._binaries.ids / twin.id
        if not of_first_version.is_symlink():
            yield of_first_version

    def _check(self) -> None:
        if not self._head.startswith(_MAGIC):
            self.discard()
            raise NotExecutable(
                "not an executable: neither an ELF file nor a script that starts with #!"
            )

    def _share(self, file: Path) -> bool:
        """Put a hard link to `file` in the place of what was written, and tell whether.

        A copy of one's own is always right: whatever is the matter, the upload goes on with it.
        """
        link = self._part.with_suffix(_TWIN)
        try:
            link.hardlink_to(file)
            if sha256_of(link) != self.content.sha256:
                return False
            link.chmod(_MODE)
            link.replace(self._part)
            # Let go of the copy here, as that takes its time, too.
            self._file.close()
            self._file = self._open("rb")
        except OSError:
            return False
        finally:
            link.unlink(missing_ok=True)
        return True

    def commit(self) -> Binary:
        """Make the upload a binary, durable with the next `sync` of files and rows.

        Raises:
            NotExecutable: no kernel would run it. It is discarded.
            BinaryExists: its id is taken. It is discarded.
            QuotaExceeded: there is none, as jobs need what there is. It is discarded.
            OSError: it cannot be kept. It is discarded.
        """
        binaries, sha256 = self._binaries, self.content.sha256
        try:
            self._check()
            binaries.evict_for(self.content)
            os.fchmod(self._file.fileno(), _MODE)
            link, content = binaries.ids / self.id, binaries.contents / sha256
            # The link first: one without a content is nothing, and a content without would stay.
            try:
                link.symlink_to(f"../contents/{sha256}")
            except FileExistsError:
                raise BinaryExists(f"Binary {self.id} exists") from None
            try:
                self._part.replace(content)  # does nothing when they are one file
                binary = Binary(self.id, sha256, self._size, binaries.now())
                binaries.store.add_binary(binary)
            except BaseException:
                link.unlink()
                if not binaries.store.binaries(1, sha256=sha256):
                    content.unlink(missing_ok=True)
                raise
            binaries.changes += 1
            return binary
        finally:
            self.discard()

    def discard(self) -> None:
        """Remove what was written. Does nothing after `commit` or a second time."""
        self._file.close()
        self._part.unlink(missing_ok=True)


def is_binary(path: Path) -> bool:
    """Return whether `path` is a stored artifact: a file, or a link that `PendingUpload` made.

    Raises:
        OSError: that cannot be known.
    """
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode) and _LINK.fullmatch(str(path.readlink())):
        try:
            mode = (path.parent / path.readlink()).lstat().st_mode
        except FileNotFoundError:
            return False
    return stat.S_ISREG(mode)


def content_of(path: Path) -> str:
    """Return the SHA-256 of a binary's content; a link has it in its name, a file is read.

    Raises:
        OSError: it cannot be read.
    """
    return path.readlink().name if path.is_symlink() else sha256_of(path)


def _is_part(entry: os.DirEntry[str]) -> bool:
    """Tell whether an entry of ``incoming/`` is a file named as the agent names those there."""
    if _SET_ASIDE.fullmatch(entry.name):
        return entry.is_symlink() or entry.is_file(follow_symlinks=False)
    return is_id(entry.name.removesuffix(_TWIN)) and entry.is_file(follow_symlinks=False)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal."""
    digest = hashlib.sha256()
    with _open_file(path) as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _open_file(path: Path) -> BinaryIO:
    """Open a file for reading; whatever else stands in its place counts as no file.

    To open a FIFO waits for its other end, and many a device has no end.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise FileNotFoundError(errno.ENOENT, "it is not a file", str(path))
    return path.open("rb")


def _remove(paths: list[Path]) -> None:
    """Remove them, and whatever stands in the place of one.

    Raises:
        OSError: something cannot be removed; everything else is.
    """
    first_error: OSError | None = None
    for path in paths:
        try:
            remove(path)
        except OSError as error:
            first_error = first_error or error
    if first_error is not None:
        raise first_error
