"""Uploaded load tests on disk: written aside, whole or nothing, then staged for a run.

A binary's bytes arrive in `incoming/` and move to `binaries/<id>` only when they are complete and
can be run; removed, they leave through `incoming/`. Both lie below the state directory. Binaries of
the same content are links to one file. Knows files and checks; does not know HTTP or who asks.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from io import FileIO
from pathlib import Path
from uuid import uuid4

import attrs

from goloagent.jobs.quota import surplus
from goloagent.jobs.store import Binary, Content, Store
from goloagent.jobs.writeback import begin_writeback

_MAGIC = (b"\x7fELF", b"#!")
# Everyone may run it, as load tests may have a user of their own; few get to it.
_MODE = 0o555
_CHUNK_BYTES = 1024 * 1024
_REMOVED = ".removed"
# So often the disk is told to begin, so that little is left for the sync at the end.
_WRITEBACK_BYTES = 8 * 1024 * 1024


class NotExecutable(Exception):
    """The bytes are neither an ELF file nor a script that starts with ``#!``."""


class BinaryExists(Exception):
    """A binary with this id is there already; the message says so as clients know it."""


class BinaryChanged(Exception):
    """The stored bytes are gone or are not those that were uploaded; the message says which."""


class BinaryNeeded(Exception):
    """A job that is not over may still run the binary."""


@attrs.frozen
class Binaries:
    """The binaries below `directory`, recorded in `store`.

    Args:
        now: gives the time of an upload.
        shortage: returns a sentence when the disk has no room for another, or None.
        most_bytes: what all of them may hold, each content counted once.
        dropped: told of each that had to make room for another.
    """

    directory: Path
    store: Store
    now: Callable[[], datetime]
    shortage: Callable[[], str | None] = lambda: None
    most_bytes: int = sys.maxsize
    dropped: Callable[[Binary], None] = lambda binary: None

    @property
    def incoming(self) -> Path:
        """Where uploads are written until they are complete."""
        return self.directory / "incoming"

    @property
    def kept(self) -> Path:
        """Where complete binaries lie, each named by its id."""
        return self.directory / "binaries"

    def open(self, keep_unknown: bool = False) -> None:
        """Make the directories, and remove what uploads cut short by an earlier end left behind.

        Args:
            keep_unknown: leave complete binaries without a record, as the records are lost.

        Raises:
            OSError: they cannot be made or written.
        """
        for directory in (self.incoming, self.kept):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for leftover in self.incoming.iterdir():
            if leftover.is_dir() and not leftover.is_symlink():
                shutil.rmtree(leftover)
            else:
                leftover.unlink()
        if not keep_unknown:
            for path in self.kept.iterdir():
                if self.store.binary(path.name) is None:
                    path.unlink()

    def sync(self) -> None:
        """Have the disk take which binaries are there, and let go of those that were removed.

        Takes its time: not for the reactor thread.

        Raises:
            OSError: it may not have.
        """
        for removed in self.incoming.glob(f"*{_REMOVED}"):
            removed.unlink(missing_ok=True)
        directory = os.open(self.kept, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def receive(self) -> Incoming:
        """Begin an upload under a fresh id.

        Raises:
            OSError: its file cannot be made, or there is no room.
        """
        sentence = self.shortage()
        if sentence is not None:
            raise OSError(errno.ENOSPC, sentence)
        return Incoming(self, str(uuid4()))

    def remove(self, binary: Binary) -> None:
        """Remove a binary; its content goes with the last one that holds it, and the next `sync`.

        Raises:
            BinaryNeeded: a job that is not over may still run it.
            OSError: it cannot be removed.
        """
        if binary.id in self.store.needed_binaries():
            raise BinaryNeeded(f"a job that is not over needs binary {binary.id}")
        # The row first: a file without one is only a leftover.
        self.store.remove_binary(binary.id)
        # Set aside alone: the system needs a quarter of a second to let go of a gigabyte.
        with suppress(FileNotFoundError):
            (self.kept / binary.id).rename(self.incoming / f"{binary.id}{_REMOVED}")

    def make_room(self, coming: Content) -> None:
        """Remove the oldest contents until there is room for one more; no job may need them.

        Raises:
            NoRoom: it is not to be had.
            OSError: one cannot be removed.
        """
        needed = {
            binary.sha256
            for binary in map(self.store.binary, self.store.needed_binaries())
            if binary is not None
        }
        for content in surplus(self.store.contents(), needed, coming, self.most_bytes):
            for binary in self.store.binaries(sha256=content.sha256):
                self.remove(binary)
                self.dropped(binary)

    def stage(self, binary: Binary, target: Path) -> None:
        """Copy `binary` to `target` and check the bytes that were copied.

        A copy and no link: whose the file is, such as a load test with the agent's own user, may
        change its mode and then its bytes.

        Touches no database, and reads the whole file: call it off the reactor thread.

        Raises:
            BinaryChanged: it is gone, or its content is not what was uploaded.
            OSError: it cannot be read or written.
        """
        try:
            source = (self.kept / binary.id).open("rb")
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


class Incoming:
    """One upload being written; ends with `keep` or `discard`."""

    def __init__(self, binaries: Binaries, binary_id: str) -> None:
        self._binaries = binaries
        self.id = binary_id
        self._part = binaries.incoming / binary_id
        self._head = b""
        self._size = 0
        self._begun = 0  # bytes that the disk was told to begin with
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
        fresh = self._size - self._begun
        if fresh >= _WRITEBACK_BYTES:
            begin_writeback(self._file.fileno(), self._begun, fresh)
            self._begun = self._size

    def _open(self, mode: str) -> FileIO:
        return FileIO(self._part, mode)

    @property
    def content(self) -> Content:
        """What was written so far."""
        return Content(self._sha256.hexdigest(), self._size)

    def twin(self) -> Binary | None:
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
        if twin is None or not self._share(twin):
            os.fsync(self._file.fileno())

    def _check(self) -> None:
        if not self._head.startswith(_MAGIC):
            self.discard()
            raise NotExecutable(
                "not an executable: neither an ELF file nor a script that starts with #!"
            )

    def _share(self, twin: Binary) -> bool:
        """Put a link to the file of `twin` in the place of what was written, and tell whether.

        A copy of one's own is always right: whatever is the matter, the upload goes on with it.
        """
        link = self._part.with_suffix(".twin")
        try:
            link.hardlink_to(self._binaries.kept / twin.id)
            if sha256_of(link) != twin.sha256:
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

    def keep(self) -> Binary:
        """Make the upload a binary.

        Raises:
            NotExecutable: no kernel would run it. It is discarded.
            BinaryExists: its id is taken. It is discarded.
            NoRoom: there is none, as jobs need what there is. It is discarded.
            OSError: it cannot be kept. It is discarded.
        """
        try:
            self._check()
            self._binaries.make_room(self.content)
            os.fchmod(self._file.fileno(), _MODE)
            try:
                os.link(self._part, self._binaries.kept / self.id)
            except FileExistsError:
                raise BinaryExists(f"Binary {self.id} exists") from None
            binary = Binary(self.id, self._sha256.hexdigest(), self._size, self._binaries.now())
            try:
                self._binaries.store.add_binary(binary)
            except BaseException:
                (self._binaries.kept / self.id).unlink()
                raise
            return binary
        finally:
            self.discard()

    def discard(self) -> None:
        """Remove what was written. Does nothing after `keep` or a second time."""
        self._file.close()
        self._part.unlink(missing_ok=True)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
