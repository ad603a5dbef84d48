"""The log of one run: every byte of its stdout and stderr, in files that only grow.

    <logs>/<name>/<job id>/out.log, err.log    this run's
    <logs>/<name>/out.log, err.log             links to the newest run's

Everything below `logs` is opened one step at a time and never through a link, so that nothing is
written or read elsewhere whatever was planted there. Blocks while it writes. Refuses to know what
a line is, and what follows from a disk that is full.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import attrs

from goloagent.filesystem import durable
from goloagent.filesystem.removal import remove_at

OUT = "out.log"
ERR = "err.log"
REJECTED = "rejected.jsonl"
ACCOUNT = "account.json"
"""Beside out.log once nothing in it is pending: what the database, if it is lost, knew of it."""

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# O_NONBLOCK: to open a planted FIFO would wait for its other end.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_WRITE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
# Readable too, for the tail of stderr.
_APPEND = _WRITE | os.O_APPEND
_GROW = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NOTE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class LogPathError(Exception):
    """Something that is not a log stands where a log belongs."""


@attrs.define(eq=False)
class RunLogWriter:
    """A run's log, open for appending; `size` is how many bytes of stdout are written.

    Each byte of stdout has its place in out.log, whatever another program does to the file: where
    one cuts it, a hole of zeros is left that ends in a newline, so that what is printed next begins
    a line. `shrunk` is told how many bytes were left. `version` is the file's device, inode and
    time of change as of the last write; what is behind `intact_from` was changed by nothing else.
    """

    _out: int
    _err: int
    size: int = 0
    version: tuple[int, int, int] = (0, 0, 0)
    intact_from: int = 0
    shrunk: Callable[[int], None] = lambda left: None

    @classmethod
    def create(cls, logs: Path, name: str, job_id: str) -> RunLogWriter:
        """Make the log of a new run and point the links of `name` to it.

        A file in a link's place is an older agent's log: it is kept as ``out.log.before-<job id>``.
        An empty log of the run is left by an attempt to start it, and is made anew.

        Raises:
            LogPathError: a link, or anything else that is no log, stands in the way.
            OSError: it cannot be made.
        """
        with _directory(logs, name, make=True) as named:
            for file in (OUT, ERR):
                _move_aside(named, file, job_id)
            with _open_subdir(named, job_id, make=True) as own:
                _remove_unused(own)
                out = _create(own, OUT, _WRITE)
                try:
                    err = _create(own, ERR, _APPEND)
                except BaseException:
                    os.close(out)
                    raise
            log = cls(out, err, version=RunLogReader(out).version())
            try:
                for file in (OUT, ERR):
                    _update_symlink(named, file, job_id)
            except BaseException:
                log.close()
                raise
            return log

    def append_stdout(self, data: bytes) -> int:
        """Write all of `data` and return its length.

        Raises:
            OSError: it could not all be written; `size` tells how much of it was.
        """
        log = RunLogReader(self._out)
        if log.version() != self.version:
            self.intact_from = self.size
            left = log.size()
            if left < self.size:
                os.pwrite(self._out, b"\n", self.size - 1)
                self.shrunk(left)
        rest = memoryview(data)
        try:
            while rest:
                written = os.pwrite(self._out, rest, self.size)
                self.size += written
                rest = rest[written:]
        finally:
            self.version = log.version()
        return len(data)

    def append_stderr(self, data: bytes) -> int:
        """Write all of `data` and return its length.

        Raises:
            OSError: it could not all be written.
        """
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._err, rest) :]
        return len(data)

    def stderr_tail(self) -> str:
        """Return how stderr ends so far, as `RunLogReader.tail` does."""
        return RunLogReader(self._err).tail()

    @property
    def closed(self) -> bool:
        """Whether nothing will be written any more."""
        return self._out < 0

    def close(self) -> None:
        """Let go of the files; a second time does nothing."""
        descriptors, self._out, self._err = (self._out, self._err), -1, -1
        with ExitStack() as closing:  # both, also when the first raises
            for descriptor in descriptors:
                if descriptor >= 0:
                    closing.callback(os.close, descriptor)


@attrs.define(eq=False)
class RunLogReader:
    """One file of a run's log, open for reading while it grows."""

    _descriptor: int

    def read(self, offset: int, count: int) -> bytes:
        """Return up to `count` bytes from `offset`; fewer only at the end."""
        return os.pread(self._descriptor, count, offset)

    def tail(self, lines: int = 20, max_bytes: int = 8192) -> str:
        """Return the last lines, of at most so many bytes, what is not UTF-8 replaced."""
        tail = self.read(max(0, self.size() - max_bytes), max_bytes)
        last = tail.removesuffix(b"\n").split(b"\n")[-lines:]
        return b"\n".join(last).decode(errors="replace")

    def sync(self) -> None:
        """Have the disk take what is in the file. Takes its time: not for the reactor thread."""
        durable.sync(self._descriptor)

    def size(self) -> int:
        """Return how many bytes there are now."""
        return os.fstat(self._descriptor).st_size

    def version(self) -> tuple[int, int, int]:
        """Return the device and inode of the file, and when its content was changed last."""
        status = os.fstat(self._descriptor)
        return status.st_dev, status.st_ino, status.st_mtime_ns

    def close(self) -> None:
        """Let go of the file; a second time does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1


def open_reader(logs: Path, name: str, job_id: str, file: str = OUT) -> RunLogReader:
    """Open the stdout (or, with `ERR`, the stderr) of a run for reading.

    Raises:
        FileNotFoundError: there is no such log.
        LogPathError: a link, or anything else that is no log, stands in its place.
    """
    with _directory(logs, name) as named, _open_subdir(named, job_id) as own:
        with _refusing_links(file):
            descriptor = os.open(file, _READ, dir_fd=own)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise LogPathError(f"{file} is not a file")
        return RunLogReader(descriptor)


def read_stderr_tail(logs: Path, name: str, job_id: str) -> str:
    """Return how the stderr of a run that is over ended, as `RunLogReader.tail` does.

    Raises:
        FileNotFoundError: there is no such log.
        LogPathError: a link, or anything else that is no log, stands in its place.
        OSError: it cannot be read.
    """
    log = open_reader(logs, name, job_id, ERR)
    try:
        return log.tail()
    finally:
        log.close()


@attrs.define(eq=False)
class RunLogSync:
    """Makes what is written to a run's stdout durable, from another thread than the writer's.

    Its descriptors are its own, so that the writer may close the log meanwhile. They are open from
    the log's beginning: only to who has had a file open does the system tell what it lost of it.
    """

    _out: int
    _directories: list[int]

    def sync(self) -> None:
        """Have the disk take what was written of stdout, and at first that the file is there.

        Raises:
            SyncFailed: it may not have; never try again and trust the answer.
        """
        durable.sync(self._out)
        for directory in self._directories:
            durable.sync(directory)
        self._let_go_of_directories()

    def close(self) -> None:
        """Let go of everything."""
        self._let_go_of_directories()
        os.close(self._out)

    def _let_go_of_directories(self) -> None:
        while self._directories:
            os.close(self._directories.pop())


def open_sync(logs: Path, name: str, job_id: str) -> RunLogSync:
    """Open the log of a run, just made, for syncing.

    Raises:
        LogPathError: a link, or anything else that is no log, stands in its place.
        OSError: it cannot be opened.
    """
    directories: list[int] = []
    try:
        with _directory(logs, name) as named, _open_subdir(named, job_id) as own:
            directories.extend((os.dup(own), os.dup(named)))
            directories.append(os.open(logs, _DIRECTORY))
            with _refusing_links(OUT):
                return RunLogSync(os.open(OUT, _READ, dir_fd=own), directories)
    except BaseException:
        for directory in directories:
            os.close(directory)
        raise


def write_manifest(logs: Path, name: str, job_id: str, account: bytes) -> None:
    """Write beside a run's log what became of its results, for a time without a database.

    Raises:
        LogPathError: a link, or anything else that is no log, stands in the way.
        OSError: it cannot be noted.
    """
    write_sidecar(logs, name, job_id, ACCOUNT, account)


def write_sidecar(logs: Path, name: str, job_id: str, file: str, data: bytes) -> None:
    """Write a file beside a run's log, in place of what it had.

    Raises:
        LogPathError: a link, or anything else that is no log, stands in the way.
        OSError: it cannot all be written.
    """
    with _directory(logs, name) as named, _open_subdir(named, job_id) as own, _refusing_links(file):
        descriptor = os.open(file, _NOTE, 0o640, dir_fd=own)
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
        finally:
            os.close(descriptor)


def open_to_append(logs: Path, name: str, job_id: str, file: str) -> int:
    """Open a file beside a run's log for reading and appending, made when it is not there.

    Raises:
        LogPathError: a link, or anything else that is no log, stands in the way.
        OSError: it cannot be opened.
    """
    with _directory(logs, name) as named, _open_subdir(named, job_id) as own, _refusing_links(file):
        descriptor = os.open(file, _GROW, 0o640, dir_fd=own)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise LogPathError(f"{file} is not a file")
    return descriptor


def size_of_run(logs: Path, name: str, job_id: str) -> int:
    """Return how many bytes the files of a run have; 0 when there is no such run.

    Raises:
        LogPathError: a link, or anything else that is no log, stands in its place.
        OSError: it cannot be looked at.
    """
    try:
        with _directory(logs, name) as named, _open_subdir(named, job_id) as own:
            return sum(os.lstat(file, dir_fd=own).st_size for file in os.listdir(own))  # noqa: PTH208
    except FileNotFoundError:
        return 0


def size_of_file(logs: Path, name: str, job_id: str, file: str = OUT) -> int:
    """Return how many bytes a file of a run has.

    Raises:
        FileNotFoundError: there is no such file.
        LogPathError: a link, or anything else that is no log, stands in its place.
        OSError: it cannot be looked at.
    """
    with _directory(logs, name) as named, _open_subdir(named, job_id) as own:
        status = os.lstat(file, dir_fd=own)
    if not stat.S_ISREG(status.st_mode):
        raise LogPathError(f"{file} is not a file")
    return status.st_size


def remove_run(logs: Path, name: str, job_id: str) -> None:
    """Remove a run's files; `unlink_run` must follow. It may take its time.

    Raises:
        LogPathError: a link, or anything else that is no log, stands in its place.
        OSError: something cannot be removed.
    """
    with suppress(FileNotFoundError), _directory(logs, name) as named:
        with _open_subdir(named, job_id):
            pass  # it is a directory and no link
        remove_at(named, job_id)


def discard_run(logs: Path, name: str, job_id: str) -> None:
    """Remove what an attempt to start a run has made; a log with anything in it stays.

    From the thread that creates logs. What cannot be removed is made anew by the next attempt.
    """
    with suppress(OSError, LogPathError), _directory(logs, name) as named:
        with _open_subdir(named, job_id) as own:
            _remove_unused(own)
        os.rmdir(job_id, dir_fd=named)
    with suppress(OSError, LogPathError):
        unlink_run(logs, name, job_id)


def unlink_run(logs: Path, name: str, job_id: str) -> None:
    """Remove the links to a run that is removed, and the name's directory when it is empty.

    From the thread that creates logs: another run of the name may begin at any moment.

    Raises:
        LogPathError: a link, or anything else that is no log, stands in its place.
        OSError: something cannot be removed.
    """
    with suppress(FileNotFoundError), _directory(logs, name) as named:
        for file in (OUT, ERR):
            with suppress(OSError):  # there is none, or it is no link
                if os.readlink(file, dir_fd=named) == f"{job_id}/{file}":
                    os.unlink(file, dir_fd=named)
    with suppress(OSError):  # the log of another run is in it
        (logs / name).rmdir()


@contextmanager
def _directory(logs: Path, name: str, make: bool = False) -> Iterator[int]:
    """Open the directory of a name; `logs` itself may be a link, for it is the operator's."""
    root = os.open(logs, _DIRECTORY)
    try:
        with _open_subdir(root, name, make) as named:
            yield named
    finally:
        os.close(root)


@contextmanager
def _open_subdir(parent: int, name: str, make: bool = False) -> Iterator[int]:
    """Open a directory in an open one, made before if asked."""
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise LogPathError(f"{name!r} cannot name a directory")
    if make:
        with suppress(FileExistsError):  # opening it tells what it is
            os.mkdir(name, 0o750, dir_fd=parent)
    with _refusing_links(name):
        descriptor = os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _refusing_links(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise LogPathError(f"{name} is a link or not a directory") from error
        raise


def _create(directory: int, file: str, flags: int) -> int:
    try:
        return os.open(file, flags, 0o640, dir_fd=directory)
    except FileExistsError as error:
        raise LogPathError(f"{file} of this run is there already") from error


def _remove_unused(directory: int) -> None:
    """Remove the files of a run that has printed nothing: an attempt to start it has left them."""
    with suppress(OSError):  # there are none, or what is there shows when they are made
        status = os.lstat(OUT, dir_fd=directory)
        if stat.S_ISREG(status.st_mode) and status.st_size == 0:
            for file in (ERR, OUT):
                with suppress(FileNotFoundError):
                    os.unlink(file, dir_fd=directory)


def _move_aside(directory: int, file: str, job_id: str) -> None:
    """See that a link can stand at `file`, keeping a log that stands there."""
    try:
        mode = os.lstat(file, dir_fd=directory).st_mode
    except FileNotFoundError:
        return
    if stat.S_ISREG(mode):
        os.rename(file, f"{file}.before-{job_id}", src_dir_fd=directory, dst_dir_fd=directory)
    elif not stat.S_ISLNK(mode):
        raise LogPathError(f"{file} is neither a log nor a link to one")


def _update_symlink(directory: int, file: str, job_id: str) -> None:
    """Point the link at `file` to the run's, with no moment in between."""
    link = f".{file}.{job_id}"
    with suppress(FileNotFoundError):  # an attempt that failed may have left it
        os.unlink(link, dir_fd=directory)
    os.symlink(f"{job_id}/{file}", link, dir_fd=directory)
    try:
        os.rename(link, file, src_dir_fd=directory, dst_dir_fd=directory)
    except BaseException:
        with suppress(OSError):
            os.unlink(link, dir_fd=directory)
        raise
