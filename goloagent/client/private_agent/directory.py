"""The directory of a private agent, below one of the user, and the locks in it.

The keeper holds ``keeper.lock``: a directory without it is left over, and is removed by the next
run. Clients hold ``client.lock`` shared: the keeper ends the agent when it can hold it alone.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

KEEPER_LOCK = "keeper.lock"
CLIENT_LOCK = "client.lock"
SOCKET = "agent.sock"
LOG = "agent.log"
_PREFIX = "run-"
_KEEPER_START_SECONDS = 60.0
_MAX_SOCKET_PATH = 107  # unix(7)


class DirectoryError(Exception):
    """The directory of the user is unusable; the message says what to do."""


def base_directory() -> Path:
    """Return the directory with those of all private agents of the user.

    It is below TMPDIR, or below /tmp if the path of a socket would be too long.

    Raises:
        DirectoryError: it belongs to another user, or others may write to it.
    """
    base = Path(tempfile.gettempdir()) / f"golo-{os.getuid()}"
    if len(os.fsencode(base / f"{_PREFIX}12345678" / SOCKET)) > _MAX_SOCKET_PATH:
        base = Path("/tmp") / base.name
    try:
        base.mkdir(mode=0o700, exist_ok=True)
        status = base.lstat()
    except OSError as error:
        raise DirectoryError(f"{base}: {error.strerror}; set TMPDIR to another place") from None
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise DirectoryError(
            f"{base} belongs to another user, or others may use it; remove it, or set TMPDIR"
        )
    return base


def make_directory() -> Path:
    """Make a directory for a private agent, and remove those that are left over.

    Raises:
        DirectoryError: the base directory is unusable.
        OSError: it cannot be made.
    """
    base = base_directory()
    if os.statvfs(base).f_flag & os.ST_NOEXEC:
        raise DirectoryError(
            f"{base} is on a file system mounted noexec, where no load test can be executed; "
            "set TMPDIR to another place"
        )
    for place in all_directories(base):
        remove_if_left(place)
    return Path(tempfile.mkdtemp(prefix=_PREFIX, dir=base))


def all_directories(base: Path) -> Iterator[Path]:
    """Yield the directories of private agents, the oldest first."""
    places: list[tuple[float, Path]] = []
    for place in base.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            places.append((place.stat().st_mtime, place))
    yield from (place for _, place in sorted(places))


def remove_if_left(place: Path) -> None:
    """Remove a directory whose keeper is dead, or that has had none for a minute."""
    try:
        with (place / KEEPER_LOCK).open("rb") as lock:
            is_left = try_lock(lock.fileno(), fcntl.LOCK_EX)
    except FileNotFoundError:
        try:
            is_left = time.time() - place.stat().st_mtime > _KEEPER_START_SECONDS
        except OSError:
            return  # it is removed already
    except OSError:
        return
    if is_left:
        shutil.rmtree(place, ignore_errors=True)


def lock_keeper(place: Path) -> BinaryIO:
    """Return the keeper's lock, held from the moment that it can be seen."""
    new = place / f"{KEEPER_LOCK}.new"
    lock = new.open("wb")
    fcntl.flock(lock, fcntl.LOCK_EX)
    new.rename(place / KEEPER_LOCK)
    return lock


def try_lock(descriptor: int, kind: int) -> bool:
    """Return whether the lock could be taken at once."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
