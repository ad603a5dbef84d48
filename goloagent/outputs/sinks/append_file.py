"""A file to which batches of results are appended, each result once. Blocks: for a thread.

A kill or a power loss may take the last checkpoints of some runs. So the records at the end of the
file say which results of a repeat it has already.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import attrs

from goloagent.filesystem.durable import sync_directory
from goloagent.outputs.sink import Response

TAIL_BYTES = 8 * 1024 * 1024
"""The longest record: a result of 1 MiB, each of whose characters may be escaped."""

MAX_JOBS = 256
"""Jobs whose last ordinals are remembered."""

_FLAGS = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK

MODE = 0o640
"""Of new files: results may have secrets in their URLs."""


class InUse(OSError):
    """Another process writes to the file."""


@attrs.frozen
class Format:
    """A format of files of records.

    Args:
        end: of each record; no record contains it.
        header: at the begin of a file; "" without one.
        key_of: returns the job and the ordinal of a record. Raises ValueError.
    """

    end: bytes
    header: bytes
    key_of: Callable[[bytes], tuple[str, int]]


@attrs.define
class AppendFile:
    """The file at `path`, which is opened and locked on first use."""

    path: Path
    format: Format
    _descriptor: int = attrs.field(init=False, default=-1)
    _size: int = attrs.field(init=False, default=0)  # with whole records only
    # The last ordinal of each job at the end of the file; the newest job is last.
    _last: dict[str, int] = attrs.field(init=False, factory=dict)

    def write(self, job: str, first: int, records: list[bytes]) -> None:
        """Append the records of a job, and sync; those that the file has are left out.

        Args:
            first: the ordinal of the first record.

        Raises:
            OSError: they are not written; the next call removes a part of them.
        """
        self._ensure_open()
        end = first + len(records)
        records = records[max(0, self._last.get(job, -1) + 1 - first) :]
        data = b"".join(record + self.format.end for record in records)
        if not self._size:
            data = self.format.header + data
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
            os.fsync(self._descriptor)
        except OSError:
            # A part of a record would corrupt the next one. If it stays, the size shows it.
            with suppress(OSError):
                os.ftruncate(self._descriptor, self._size)
            raise
        self._size += len(data)
        if records:
            self._remember(job, end - 1)

    def close(self) -> None:
        """Close it."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor, self._last = -1, {}

    def _remember(self, job: str, ordinal: int) -> None:
        self._last.pop(job, None)
        self._last[job] = ordinal
        if len(self._last) > MAX_JOBS:
            del self._last[next(iter(self._last))]

    def _ensure_open(self) -> None:
        """Open the file, also if it was removed or replaced; repair it if its size is another."""
        if self._descriptor >= 0 and not self._is_same():
            self.close()
        if self._descriptor >= 0:
            if os.fstat(self._descriptor).st_size != self._size:
                self._repair(self._descriptor)
            return
        descriptor = os.open(self.path, _FLAGS, MODE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._repair(descriptor)
            if not os.fstat(descriptor).st_size:
                sync_directory(self.path.parent)
        except BaseException as error:
            os.close(descriptor)
            if isinstance(error, BlockingIOError):
                raise InUse(errno.EBUSY, "another process writes to it") from None
            raise
        self._descriptor = descriptor

    def _is_same(self) -> bool:
        try:
            there = self.path.stat()
        except FileNotFoundError:
            return False
        return os.path.samestat(there, os.fstat(self._descriptor))

    def _repair(self, descriptor: int) -> None:
        """Cut a partial record at the end; remember what the last whole ones are."""
        size = os.fstat(descriptor).st_size
        self._last = {}
        end = self.format.end
        tail = os.pread(descriptor, TAIL_BYTES, max(0, size - TAIL_BYTES))
        whole = tail.rfind(end) + len(end) if end in tail else 0
        if not whole and size > TAIL_BYTES:
            raise OSError(errno.EINVAL, "it has no whole record at its end")
        if whole < len(tail):
            os.ftruncate(descriptor, size - len(tail) + whole)
        for record in tail[:whole].split(end)[1 if size > TAIL_BYTES else 0 : -1]:
            # A header and records of other programs are skipped.
            with suppress(ValueError, RecursionError):
                self._remember(*self.format.key_of(record))
        self._size = size - len(tail) + whole


def mode_of(path: Path) -> int:
    """Return the mode of a file or directory; 0 if there is none, or it may not be seen."""
    try:
        return path.stat().st_mode
    except OSError:
        return 0


def response_of(path: Path, write: Callable[[], None]) -> Response:
    """Return the response to a write to a file."""
    try:
        write()
    except (FileNotFoundError, NotADirectoryError):
        return Response.wrong(f"there is no directory {path.parent}; create it")
    except InUse as error:
        return Response.wrong(f"{path}: {error.strerror}; choose another path for one of them")
    except IsADirectoryError:
        return Response.wrong(f"{path} is a directory; write a / at the end of its URL")
    except PermissionError:
        return Response.wrong(f"the agent's user may not write to {path}; change its permissions")
    except OSError as error:
        return Response(error=f"{path}: {error.strerror or error}")
    return Response.delivered()
