"""What the agent needs of the machine before it starts: directories, a lock, the database.

What is not to be had ends the start with one sentence that names the option.
"""

from __future__ import annotations

import fcntl
import os
import pwd
import stat
import tempfile
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import IO

import attrs
from twisted.internet.error import CannotListenError

from goloagent.disk.leftovers import set_aside
from goloagent.jobs.store import Damaged, Store
from goloagent.settings import Settings

# What an empty database needs on disk, with its log and its index.
_ROOM_BYTES = 256 * 1024


class CannotStart(Exception):
    """The agent cannot start; the message says which option asks for what is not to be had."""


@attrs.frozen
class Premises:
    """What is held while the agent runs: the state directory's lock and the open database.

    ``work`` is the directory below which load tests run; ``leftovers`` is what earlier runs left
    there, to be removed. ``damage`` says what
    became of a database that was found damaged, until what it held is `restored`.
    """

    work: Path
    leftovers: list[Path]
    store: Store
    damage: str | None
    _restoring: Path
    _lock: IO[bytes]

    def restored(self) -> None:
        """Note that the database has again what the disk still knew."""
        self._restoring.unlink(missing_ok=True)

    def leave(self) -> None:
        """Let go of everything."""
        self.store.close()
        self._lock.close()


def take(settings: Settings, now: Callable[[], datetime]) -> Premises:
    """Make and open what `settings` name.

    Raises:
        CannotStart: something cannot be made, written or opened, or another agent has it.
    """
    lock = _lock(settings.state)
    work = settings.state / "work"
    for option, directory, mode in (("--state", work, 0o711), ("--logs", settings.logs, 0o750)):
        _make_writable(option, directory, mode)
    if settings.run_as is not None:
        _check_way(work, settings.run_as)
    try:
        leftovers = set_aside(work)
    except OSError as error:
        raise CannotStart(f"--state {work}: {reason(error)}") from None
    restoring = settings.state / "restoring"
    store, damage = _open_store(settings.state / "golo-agent.sqlite", restoring, now)
    return Premises(work, leftovers, store, damage, restoring, lock)


def own_user() -> str:
    """Return the name of the user that the agent runs as, or the number of one without a name.

    A service manager or a container may give it any number.
    """
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


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
        # Whoever may open it may hold it, and so keep the next agent from starting.
        lock = (state / "lock").open("wb")
        os.fchmod(lock.fileno(), 0o600)
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


def _open_store(
    path: Path, restoring: Path, now: Callable[[], datetime]
) -> tuple[Store, str | None]:
    """Open the database; set a damaged one aside, make a new one, and say so.

    The file `restoring` says it too, to the next life as long as this one has not restored all.
    """
    try:
        try:
            store = _store(path)
        except Damaged as error:
            # A full disk can look like damage, and a good database must stay where it is.
            _try_to_write(path.parent)
            aside = path.with_name(f"{path.name}.damaged-{now():%Y%m%dT%H%M%S.%fZ}")
            restoring.write_text(f"the database was damaged ({error}) and is kept as {aside}")
            _set_aside(path, aside)
            store = _store(path)
        return store, restoring.read_text() if restoring.exists() else None
    except (OSError, Damaged) as error:
        raise CannotStart(f"--state: the database {path}: {reason(error)}") from None


def _store(path: Path) -> Store:
    os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
    return Store(path)


def _set_aside(path: Path, aside: Path) -> None:
    """Rename the database and what belongs to it."""
    for suffix in ("", "-wal", "-shm"):
        with suppress(FileNotFoundError):
            Path(f"{path}{suffix}").rename(f"{aside}{suffix}")


def _try_to_write(directory: Path) -> None:
    with tempfile.TemporaryFile(dir=directory) as file:
        file.write(bytes(_ROOM_BYTES))
