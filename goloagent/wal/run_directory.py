"""The directory of a run, and the links of its name to the newest run.

    <logs>/<name>/<job id>/out.log, err.log    the run's
    <logs>/<name>/out.log, err.log             links to those of the newest run

Everything below `logs` is opened step by step and never through a link, so that planted links lead
nowhere. All functions may raise these errors:

    LogPathError: a link, or anything else that is no log, is in the place of a log.
    OSError: the system refuses.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from goloagent.filesystem.removal import remove_at

OUT = "out.log"
ERR = "err.log"

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# O_NONBLOCK, because to open a planted FIFO would wait for its other end.
_SAFE = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class LogPathError(Exception):
    """A path of a log is not a file, or leads through a link."""


@contextmanager
def open_name(logs: Path, name: str, make: bool = False) -> Iterator[int]:
    """Open the directory of a name; `logs` itself may be a link, which the operator has made."""
    root = os.open(logs, _DIRECTORY)
    try:
        with open_subdir(root, name, make) as named:
            yield named
    finally:
        os.close(root)


@contextmanager
def open_subdir(parent: int, name: str, make: bool = False) -> Iterator[int]:
    """Open a directory in an open one, and make it first if `make`."""
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise LogPathError(f"{name!r} cannot name a directory")
    if make:
        with suppress(FileExistsError):  # it may be no directory, which is found when it is opened
            os.mkdir(name, 0o750, dir_fd=parent)
    descriptor = _open(parent, name, _DIRECTORY | os.O_NOFOLLOW)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def open_run(logs: Path, name: str, job_id: str) -> Iterator[int]:
    """Open the directory of a run."""
    with open_name(logs, name) as named, open_subdir(named, job_id) as own:
        yield own


def open_file(logs: Path, name: str, job_id: str, file: str, flags: int = os.O_RDONLY) -> int:
    """Open a file of a run.

    Raises:
        FileNotFoundError: it does not exist.
    """
    with open_run(logs, name, job_id) as own:
        descriptor = _open(own, file, flags | _SAFE)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise LogPathError(f"{file} is not a file")
    return descriptor


def replace_file(logs: Path, name: str, job_id: str, temporary: str, file: str) -> None:
    """Rename a file of a run to another one, which it replaces."""
    with open_run(logs, name, job_id) as own:
        os.rename(temporary, file, src_dir_fd=own, dst_dir_fd=own)


def size_of_file(logs: Path, name: str, job_id: str, file: str = OUT) -> int:
    """Return the number of bytes of a file of a run.

    Raises:
        FileNotFoundError: it does not exist.
    """
    with open_run(logs, name, job_id) as own:
        status = os.lstat(file, dir_fd=own)
    if not stat.S_ISREG(status.st_mode):
        raise LogPathError(f"{file} is not a file")
    return status.st_size


def size_of_run(logs: Path, name: str, job_id: str) -> int:
    """Return the number of bytes of all files of a run; 0 if there is no such run."""
    try:
        with open_run(logs, name, job_id) as own:
            return sum(os.lstat(file, dir_fd=own).st_size for file in os.listdir(own))  # noqa: PTH208
    except FileNotFoundError:
        return 0


def prepare_link(named: int, file: str, job_id: str) -> None:
    """Rename a file in the place of a link: a log of the 2018 agent, as ``out.log.before-<id>``."""
    try:
        mode = os.lstat(file, dir_fd=named).st_mode
    except FileNotFoundError:
        return
    if stat.S_ISREG(mode):
        os.rename(file, f"{file}.before-{job_id}", src_dir_fd=named, dst_dir_fd=named)
    elif not stat.S_ISLNK(mode):
        raise LogPathError(f"{file} is neither a log nor a link to one")


def update_link(named: int, file: str, job_id: str) -> None:
    """Replace the link at `file` atomically by one to the file of a run."""
    link = f".{file}.{job_id}"
    with suppress(FileNotFoundError):  # of a failed attempt
        os.unlink(link, dir_fd=named)
    os.symlink(f"{job_id}/{file}", link, dir_fd=named)
    try:
        os.rename(link, file, src_dir_fd=named, dst_dir_fd=named)
    except BaseException:
        with suppress(OSError):
            os.unlink(link, dir_fd=named)
        raise


def remove_empty_logs(own: int) -> None:
    """Remove the files of a failed attempt to start a run, which has printed nothing."""
    with suppress(OSError):  # other files are found when the log is created
        status = os.lstat(OUT, dir_fd=own)
        if stat.S_ISREG(status.st_mode) and status.st_size == 0:
            for file in (ERR, OUT):
                with suppress(FileNotFoundError):
                    os.unlink(file, dir_fd=own)


def discard_run(logs: Path, name: str, job_id: str) -> None:
    """Remove the directory of a failed attempt to start a run, unless its log has content.

    Call it in the thread that creates logs. Remaining files are replaced by the next attempt.
    """
    with suppress(OSError, LogPathError), open_name(logs, name) as named:
        with open_subdir(named, job_id) as own:
            remove_empty_logs(own)
        os.rmdir(job_id, dir_fd=named)
    with suppress(OSError, LogPathError):
        unlink_run(logs, name, job_id)


def remove_run(logs: Path, name: str, job_id: str) -> None:
    """Remove the directory of a run, which may take long; call `unlink_run` after it."""
    with suppress(FileNotFoundError), open_name(logs, name) as named:
        with open_subdir(named, job_id):
            pass  # it is a directory and no link
        remove_at(named, job_id)


def unlink_run(logs: Path, name: str, job_id: str) -> None:
    """Remove the links to a removed run, and the directory of its name if it is empty.

    Call it in the thread that creates logs, because a run of the name may begin at any moment.
    """
    with suppress(FileNotFoundError), open_name(logs, name) as named:
        for file in (OUT, ERR):
            with suppress(OSError):  # it does not exist, or is no link
                if os.readlink(file, dir_fd=named) == f"{job_id}/{file}":
                    os.unlink(file, dir_fd=named)
    with suppress(OSError):  # another run is in it
        (logs / name).rmdir()


def _open(parent: int, name: str, flags: int) -> int:
    try:
        return os.open(name, flags, 0o640, dir_fd=parent)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise LogPathError(f"{name} is a link or not a directory") from error
        raise
