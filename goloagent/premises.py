"""What the agent needs of the machine before it starts: directories, a lock, the database.

What is not to be had ends the start with one sentence that names the option.
"""

from __future__ import annotations

import fcntl
import os
import pwd
import shutil
import sqlite3
import stat
import tempfile
from pathlib import Path
from typing import IO

import attrs
from twisted.internet.error import CannotListenError

from goloagent.jobs.store import Store
from goloagent.settings import Settings


class CannotStart(Exception):
    """The agent cannot start; the message says which option asks for what is not to be had."""


@attrs.frozen
class Premises:
    """What is held while the agent runs: the state directory's lock and the open database.

    ``work`` is the directory below which load tests run, empty at the start.
    """

    work: Path
    store: Store
    _lock: IO[bytes]

    def leave(self) -> None:
        """Let go of everything."""
        self.store.close()
        self._lock.close()


def take(settings: Settings) -> Premises:
    """Make and open what `settings` name.

    Raises:
        CannotStart: something cannot be made, written or opened, or another agent has it.
    """
    lock = _lock(settings.state)
    work = settings.state / "work"
    for option, directory, mode in (("--state", work, 0o711), ("--logs", settings.logs, 0o755)):
        _make_writable(option, directory, mode)
    if settings.run_as is not None:
        _check_way(work, settings.run_as)
    for leftover in work.iterdir():
        shutil.rmtree(leftover, ignore_errors=True)
    return Premises(work, _open_store(settings.state / "golo-agent.sqlite"), lock)


def read_token(path: Path | None) -> bytes | None:
    """Return the token in the file at `path`; None when none is asked for.

    Raises:
        CannotStart: the file cannot be read, or is empty.
    """
    if path is None:
        return None
    try:
        token = path.read_bytes().strip()
    except OSError as error:
        raise CannotStart(f"--token-file {path}: {reason(error)}") from None
    if not token:
        raise CannotStart(f"--token-file {path}: it is empty")
    return token


def reason(error: Exception) -> str:
    """Return the system's words for what went wrong, where it has any."""
    if isinstance(error, CannotListenError):
        error = error.socketError
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)


def _lock(state: Path) -> IO[bytes]:
    """Make the state directory this agent's own for as long as the returned file is open."""
    try:
        _make(state, 0o711)
        lock = (state / "lock").open("wb")
    except OSError as error:
        raise CannotStart(f"--state {state}: {reason(error)}") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise CannotStart(f"--state {state}: another agent is using it") from None
    return lock


def _make(directory: Path, mode: int) -> None:
    """Make a directory that is not there, with exactly this mode, whatever the umask."""
    if not directory.is_dir():
        directory.mkdir(parents=True)
        directory.chmod(mode)


def _make_writable(option: str, directory: Path, mode: int) -> None:
    """Make a directory that is not there, and try to write in it."""
    try:
        _make(directory, mode)
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        raise CannotStart(f"{option} {directory}: {reason(error)}") from None


def _check_way(directory: Path, user: str) -> None:
    """Check that `user`, in no group but its first, can come to `directory`."""
    entry = pwd.getpwnam(user)
    for step in (directory, *directory.parents):
        status = step.stat()
        if status.st_uid == entry.pw_uid:
            allowed = status.st_mode & stat.S_IXUSR
        elif status.st_gid == entry.pw_gid:
            allowed = status.st_mode & stat.S_IXGRP
        else:
            allowed = status.st_mode & stat.S_IXOTH
        if not allowed:
            raise CannotStart(
                f"--run-as {user}: load tests run below {directory}, "
                f"and {user} may not enter {step}"
            )


def _open_store(path: Path) -> Store:
    try:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
        return Store(path)
    except (OSError, sqlite3.Error) as error:
        raise CannotStart(f"--state: the database {path}: {reason(error)}") from None
