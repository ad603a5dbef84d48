"""The log of one run: every byte of its stdout and stderr, in files that only grow.

All calls block. They raise the errors of `run_directory`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import attrs

from goloagent.filesystem import durable
from goloagent.wal.run_directory import (
    ERR,
    OUT,
    LogPathError,
    open_file,
    open_name,
    open_subdir,
    prepare_link,
    remove_empty_logs,
    update_link,
)

_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@attrs.define(eq=False)
class RunLogWriter:
    """A run's log, open for appending.

    Each byte of stdout has its place in out.log, also if another program cuts or rewrites the file.
    If it ended in a newline there is one again, so that the next output begins a line.

    Args:
        size: the number of written bytes of stdout.
        version: the device, inode and change time of out.log as of the last write.
        intact_from: the offset from which no other program has changed it.
        shrunk: called with the remaining bytes if another program has cut it.
    """

    _out: int
    _err: int
    size: int = 0
    version: tuple[int, int, int] = (0, 0, 0)
    intact_from: int = 0
    shrunk: Callable[[int], None] = lambda left: None
    _ended_line: bool = attrs.field(default=False, init=False)

    @classmethod
    def create(cls, logs: Path, name: str, job_id: str) -> RunLogWriter:
        """Create the log of a new run, and point the links of its name to it.

        Empty files of a failed attempt are replaced.
        """
        with open_name(logs, name, make=True) as named:
            for file in (OUT, ERR):
                prepare_link(named, file, job_id)
            with open_subdir(named, job_id, make=True) as own:
                remove_empty_logs(own)
                out = _create(own, OUT)
                try:
                    err = _create(own, ERR, os.O_APPEND)
                except BaseException:
                    os.close(out)
                    raise
            log = cls(out, err, version=RunLogReader(out).version())
            try:
                for file in (OUT, ERR):
                    update_link(named, file, job_id)
            except BaseException:
                log.close()
                raise
            return log

    def append_stdout(self, data: bytes) -> int:
        """Write all of `data`; return its length.

        Raises:
            OSError: it is not written whole; `size` counts the written part.
        """
        log = RunLogReader(self._out)
        if log.version() != self.version:
            self.intact_from = self.size
            left = log.size()
            if left < self.size or (
                self._ended_line and self.size and log.read(self.size - 1, 1) != b"\n"
            ):
                os.pwrite(self._out, b"\n", self.size - 1)
            if left < self.size:
                self.shrunk(left)
        rest = memoryview(data)
        self._ended_line = data.endswith(b"\n")
        try:
            while rest:
                written = os.pwrite(self._out, rest, self.size)
                self.size += written
                rest = rest[written:]
        finally:
            self.version = log.version()
        return len(data)

    def append_stderr(self, data: bytes) -> int:
        """Write all of `data`; return its length.

        Raises:
            OSError: it is not written whole.
        """
        write_all(self._err, data)
        return len(data)

    def stderr_tail(self) -> str:
        """Return the end of stderr so far."""
        return RunLogReader(self._err).tail()

    @property
    def closed(self) -> bool:
        """Whether nothing more is written."""
        return self._out < 0

    def close(self) -> None:
        """Close the files; a second call does nothing."""
        descriptors, self._out, self._err = (self._out, self._err), -1, -1
        with ExitStack() as closing:  # both, also if the first raises
            for descriptor in descriptors:
                if descriptor >= 0:
                    closing.callback(os.close, descriptor)


@attrs.define(eq=False)
class RunLogReader:
    """One file of a run, open for reading while it grows."""

    _descriptor: int

    def read(self, offset: int, count: int) -> bytes:
        """Return up to `count` bytes from `offset`; fewer only at the end."""
        return os.pread(self._descriptor, count, offset)

    def tail(self, lines: int = 20, max_bytes: int = 8192) -> str:
        """Return the last lines of the last `max_bytes`; bytes that are not UTF-8 are replaced."""
        tail = self.read(max(0, self.size() - max_bytes), max_bytes)
        last = tail.removesuffix(b"\n").split(b"\n")[-lines:]
        return b"\n".join(last).decode(errors="replace")

    def sync(self) -> None:
        """Sync the file; not in the reactor thread."""
        durable.sync(self._descriptor)

    def size(self) -> int:
        """Return the number of bytes."""
        return os.fstat(self._descriptor).st_size

    def version(self) -> tuple[int, int, int]:
        """Return the device and inode of the file, and the time of its last change."""
        status = os.fstat(self._descriptor)
        return status.st_dev, status.st_ino, status.st_mtime_ns

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1


@attrs.define(eq=False)
class RunLogSync:
    """Syncs out.log, in another thread than the writer's, which may close the log meanwhile.

    Its descriptors are open from the log's creation on, because the system reports lost writes
    only to descriptors that were open.
    """

    _out: int
    _directories: list[int]

    def sync(self) -> None:
        """Sync out.log, and the first time also its directories.

        Raises:
            SyncFailed: data may be lost; a later success would prove nothing.
        """
        durable.sync(self._out)
        for directory in self._directories:
            durable.sync(directory)
        self._close_directories()

    def close(self) -> None:
        """Close all descriptors."""
        self._close_directories()
        os.close(self._out)

    def _close_directories(self) -> None:
        while self._directories:
            os.close(self._directories.pop())


def open_reader(logs: Path, name: str, job_id: str, file: str = OUT) -> RunLogReader:
    """Open a file of a run for reading.

    Raises:
        FileNotFoundError: it does not exist.
    """
    return RunLogReader(open_file(logs, name, job_id, file))


def read_stderr_tail(logs: Path, name: str, job_id: str) -> str:
    """Return the end of the stderr of a run that is over.

    Raises:
        FileNotFoundError: it does not exist.
    """
    log = open_reader(logs, name, job_id, ERR)
    try:
        return log.tail()
    finally:
        log.close()


def open_sync(logs: Path, name: str, job_id: str) -> RunLogSync:
    """Open the log of a new run for syncing."""
    directories: list[int] = []
    try:
        with open_name(logs, name) as named, open_subdir(named, job_id) as own:
            directories += [os.dup(own), os.dup(named)]
            directories.append(os.open(logs, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        return RunLogSync(open_file(logs, name, job_id, OUT), directories)
    except BaseException:
        for directory in directories:
            os.close(directory)
        raise


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of `data` to a file."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _create(directory: int, file: str, flags: int = 0) -> int:
    try:
        return os.open(file, _CREATE | flags, 0o640, dir_fd=directory)
    except FileExistsError as error:
        raise LogPathError(f"{file} of this run is there already") from error
