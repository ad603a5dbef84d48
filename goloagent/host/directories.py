"""Creates, locks and checks the directories of ``--state`` and ``--logs``."""

from __future__ import annotations

import errno
import fcntl
import os
import pwd
import stat
import tempfile
from pathlib import Path

from twisted.logger import Logger

from goloagent.host.startup_error import StartupError, unusable

_Identity = tuple[int, int]
_NOWHERE = (-1, -1)
# Opening a directory, a link or a socket fails with these.
_NOT_A_FILE = frozenset({errno.EISDIR, errno.ELOOP, errno.ENXIO})
_LOCK = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

_log = Logger()


def make(directory: Path, mode: int) -> None:
    """Create a missing directory with exactly this mode, whatever the umask."""
    if not directory.is_dir():
        directory.mkdir(parents=True)
        directory.chmod(mode)


def make_writable(option: str, directory: Path, mode: int) -> None:
    """Create a missing directory, and check that it is writable.

    Raises:
        StartupError: it cannot be created or written.
    """
    try:
        make(directory, mode)
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        raise unusable(option, directory, error) from None


def lock_state(state: Path) -> int:
    """Lock the state directory while the returned descriptor is open.

    Raises:
        StartupError: another agent uses it, or it cannot be created or written.
    """
    lock = state / "lock"
    try:
        make(state, 0o711)
    except OSError as error:
        raise unusable("--state", state, error) from None
    try:
        # A process that can open the file could lock it, and so block the next start.
        descriptor = os.open(lock, _LOCK, 0o600)
        os.fchmod(descriptor, 0o600)
    except OSError as error:
        if error.errno in _NOT_A_FILE:
            raise StartupError(f"--state {lock}: it is not a regular file; move it away") from None
        raise unusable("--state", lock, error) from None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise StartupError(f"--state {lock}: it is not a regular file; move it away")
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise StartupError(
            f"--state {state}: another agent is using it; stop it or choose another by --state"
        ) from None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def lock_logs(logs: Path) -> int:
    """Lock the logs directory while the returned descriptor is open.

    The agent restores unknown runs in it, which must not be another agent's.

    Raises:
        StartupError: another agent uses it, or it cannot be opened.
    """
    try:
        descriptor = os.open(logs, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise unusable("--logs", logs, error) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise StartupError(
            f"--logs {logs}: another agent is using it; stop it or choose another by --logs"
        ) from None
    except OSError as error:  # NFS locks only files open for writing
        _log.warn("--logs {logs} cannot be locked: {error}", logs=logs, error=error)
    return descriptor


def check_apart(state: Path, logs: Path, own: frozenset[str]) -> None:
    """Check that no name of a job can lead its logs into the files of `state`, which exists.

    Args:
        own: the names in the state directory that the agent uses.

    Raises:
        StartupError: the directories are the same, or one is inside the other where it matters.
    """
    root, mine = _identity(state), _identity(logs)
    if mine == root:
        raise StartupError(
            f"--logs {logs} and --state {state} are the same directory; choose another by --logs"
        )
    if mine is not None and mine in map(_identity, Path(os.path.realpath(state)).parents):
        raise StartupError(
            f"--state {state} is inside --logs {logs}, where jobs choose names;"
            " choose another by --state or --logs"
        )
    used = {identity: name for name in own if (identity := _identity(state / name)) is not None}
    path, child = Path(os.path.realpath(logs)), ""
    for ancestor in (path, *path.parents):
        identity = _identity(ancestor)
        name = child if identity == root and child in own else used.get(identity or _NOWHERE)
        if name is not None:
            raise StartupError(
                f"--logs {logs} is inside {state / name}, which the agent uses for something"
                " else; choose another by --logs"
            )
        child = ancestor.name


def check_access(directory: Path, user: str) -> None:
    """Check that `user`, in its primary group only, can enter `directory`.

    Raises:
        StartupError: it cannot.
    """
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
            raise StartupError(
                f"--run-as {user}: load tests run below {directory}, "
                f"and {user} may not enter {step}"
            )


def _identity(path: Path) -> _Identity | None:
    """Return the device and inode, which are the same through links and bind mounts."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
