"""An upload that is being written, until it becomes a binary or is discarded."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING

from goloagent.artifacts.files import MODE, sha256_of
from goloagent.jobs.database import Binary, Content

if TYPE_CHECKING:
    from goloagent.artifacts.store import ArtifactStore

LINK_SUFFIX = ".twin"
_MAGIC = (b"\x7fELF", b"#!")


class NotExecutable(Exception):
    """The bytes are neither an ELF file nor a script that starts with ``#!``."""


class BinaryExists(Exception):
    """A binary with this id exists; the message is the one that golo-cli users know."""


class PendingUpload:
    """An upload to `artifacts` under the id `binary_id`; ends with `commit` or `discard`.

    Args:
        is_program: whether it must be executable.
    """

    def __init__(
        self, artifacts: ArtifactStore, binary_id: str, name: str = "", is_program: bool = True
    ) -> None:
        self.id = binary_id
        self._is_program = is_program
        self.name = name
        self._artifacts = artifacts
        self._part = artifacts.incoming / binary_id
        self._head = b""
        self._size = 0
        self._sha256 = hashlib.sha256()
        self._file = self._open("xb")

    def write(self, data: bytes) -> None:
        """Append bytes of the upload; may block.

        Raises:
            OSError: they cannot be written; the upload must then be discarded.
        """
        self._head = (self._head + data[:4])[:4]
        self._size += len(data)
        self._sha256.update(data)
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest) :]

    @property
    def content(self) -> Content:
        """The content written so far."""
        return Content(self._sha256.hexdigest(), self._size)

    def duplicate(self) -> Binary | None:
        """Return the newest binary with the same content, or None."""
        return next(iter(self._artifacts.store.binaries(1, sha256=self.content.sha256)), None)

    def sync(self, duplicate: Binary | None = None) -> None:
        """Flush the upload, or replace it by a hard link to `duplicate` if that is intact.

        Blocks: call it off the reactor thread.

        Raises:
            NotExecutable: the kernel would not run it. The upload is discarded.
            OSError: it cannot be flushed; the upload must then be discarded.
        """
        self._check_executable()
        if duplicate is None or not any(map(self._link_to, self._files_of(duplicate))):
            os.fsync(self._file.fileno())

    def commit(self) -> Binary:
        """Make the upload a binary, durable with the next `sync` of files and rows.

        If it fails, the upload is discarded.

        Raises:
            NotExecutable: the kernel would not run it.
            BinaryExists: its id is taken.
            QuotaExceeded: it exceeds the quota even without the contents that no job needs.
            OSError: it cannot be stored.
        """
        artifacts, sha256 = self._artifacts, self.content.sha256
        try:
            self._check_executable()
            artifacts.evict_for(self.content)
            os.fchmod(self._file.fileno(), MODE)
            link, content = artifacts.ids / self.id, artifacts.contents / sha256
            # The link comes first, because a content without a link would never be removed.
            try:
                link.symlink_to(f"../contents/{sha256}")
            except FileExistsError:
                raise BinaryExists(f"Binary {self.id} exists") from None
            try:
                self._part.replace(content)  # does nothing if they are the same file
                binary = Binary(self.id, sha256, self._size, artifacts.now(), self.name)
                artifacts.store.add_binary(binary)
            except BaseException:
                link.unlink()
                if not artifacts.store.binaries(1, sha256=sha256):
                    content.unlink(missing_ok=True)
                raise
            artifacts.changes += 1
            return binary
        finally:
            self.discard()

    def discard(self) -> None:
        """Remove the written bytes; does nothing after `commit` or a second time."""
        self._file.close()
        self._part.unlink(missing_ok=True)

    def _open(self, mode: str) -> FileIO:
        return FileIO(self._part, mode)

    def _files_of(self, binary: Binary) -> Iterator[Path]:
        yield self._artifacts.contents / binary.sha256
        of_first_version = self._artifacts.ids / binary.id
        if not of_first_version.is_symlink():
            yield of_first_version

    def _check_executable(self) -> None:
        if self._is_program and not self._head.startswith(_MAGIC):
            self.discard()
            raise NotExecutable(
                "not an executable: neither an ELF file nor a script that starts with #!"
            )

    def _link_to(self, file: Path) -> bool:
        """Replace the written bytes by a hard link to `file`; return False if that fails."""
        link = self._part.with_suffix(LINK_SUFFIX)
        try:
            link.hardlink_to(file)
            if sha256_of(link) != self.content.sha256:
                return False
            link.chmod(MODE)
            link.replace(self._part)
            # Closing frees the written bytes, which blocks.
            self._file.close()
            self._file = self._open("rb")
        except OSError:
            return False
        finally:
            link.unlink(missing_ok=True)
        return True
