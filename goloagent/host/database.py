"""Opens the job database at the start; a lost or damaged one is replaced by a new one.

`runs.restoration` then restores the rows from the files on the disk.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from enum import Enum
from pathlib import Path

import attrs
from twisted.logger import Logger

from goloagent.host.startup_error import StartupError, reason
from goloagent.jobs.database import Damaged, Store

# The size of an empty database with its log and its index.
_ROOM_BYTES = 256 * 1024
# SQLite's header. SQLite treats a shorter file as an empty database.
_HEADER_BYTES = 100
_MAX_SENTENCE_BYTES = 4096
_SUFFIXES = ("", "-wal", "-shm")
# O_NONBLOCK, because opening a FIFO would block.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

_log = Logger()


class Database(Enum):
    """The condition of the file at the database's path."""

    WHOLE = "whole"
    MISSING = "missing"
    EMPTY = "empty"
    DAMAGED = "damaged"


@attrs.frozen
class Found:
    """The database as a start finds it.

    Args:
        detail: the damage.
        has_files: whether there are binaries, runs or queued jobs on the disk.
        restoring: the notice of an earlier start that did not complete its restoration.
    """

    condition: Database
    detail: str = ""
    has_files: bool = False
    restoring: str | None = None


@attrs.frozen
class Plan:
    """The decision of a start about the database.

    Args:
        replace: rename the present file, and create a new database.
        sentence: the notice for the operator if rows must be restored.
    """

    replace: bool
    sentence: str | None


def plan(found: Found, aside: Path) -> Plan:
    """Decide; `aside` is the new name of a file that is replaced."""
    match found.condition:
        case Database.WHOLE:
            return Plan(replace=False, sentence=found.restoring)
        case Database.DAMAGED:
            sentence = f"the database was damaged ({found.detail}) and is kept as {aside}"
            return Plan(replace=True, sentence=sentence)
        case _ if found.has_files:
            return Plan(replace=True, sentence=f"the database was {found.condition.value}")
        case _:
            return Plan(replace=False, sentence=None)


def open_database(
    path: Path, restoring: Path, has_files: Callable[[], bool], now: Callable[[], datetime]
) -> tuple[Store, str | None]:
    """Open the database at `path`; return it with a notice if rows must be restored.

    The notice is in the file `restoring` until the caller removes it after a complete restoration.

    Args:
        has_files: returns whether there are binaries, runs or queued jobs on the disk.

    Raises:
        StartupError: the database can be neither opened nor created.
    """
    try:
        if path.is_symlink():
            # A dangling link may point to a disk that is not mounted.
            path = Path(os.path.realpath(path, strict=True))
        condition, detail, store = _examine(path)
        lost = condition in (Database.MISSING, Database.EMPTY)
        found = Found(condition, detail, lost and has_files(), _read(restoring))
        aside = path.with_name(f"{path.name}.damaged-{now():%Y%m%dT%H%M%S.%fZ}")
        decided = plan(found, aside)
        if decided.replace:
            # A full disk can look like damage; then a good database must stay.
            _try_to_write(path.parent)
            _write(restoring, decided.sentence or "")
            _set_aside(path, aside)
        return store or _open(path), decided.sentence
    except (OSError, Damaged) as error:
        raise StartupError(f"--state: the database {path}: {reason(error)}") from None


def _examine(path: Path) -> tuple[Database, str, Store | None]:
    """Return the condition of `path`, its damage, and the database if it is whole."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return Database.MISSING, "", None
    if not stat.S_ISREG(status.st_mode):
        return Database.DAMAGED, "it is not a file", None
    if status.st_size == 0:
        return Database.EMPTY, "", None
    if status.st_size < _HEADER_BYTES:
        return Database.DAMAGED, f"it has {status.st_size} bytes", None
    _set_companions_aside(path)
    try:
        return Database.WHOLE, "", _open(path)
    except Damaged as error:
        return Database.DAMAGED, str(error), None


def _open(path: Path) -> Store:
    os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
    return Store(path)


def _set_aside(path: Path, aside: Path) -> None:
    """Rename the database and its companion files."""
    for suffix in _SUFFIXES:
        with suppress(FileNotFoundError):
            Path(f"{path}{suffix}").rename(f"{aside}{suffix}")


def _set_companions_aside(path: Path) -> None:
    """Rename companions of the database that are not regular files."""
    for suffix in _SUFFIXES[1:]:
        companion = Path(f"{path}{suffix}")
        with suppress(FileNotFoundError):
            if not stat.S_ISREG(companion.lstat().st_mode):
                companion.rename(f"{companion}.damaged-{os.urandom(4).hex()}")
                _log.warn("{path} was not a regular file and is renamed", path=companion)


def _try_to_write(directory: Path) -> None:
    with tempfile.TemporaryFile(dir=directory) as file:
        file.write(bytes(_ROOM_BYTES))


def _read(file: Path) -> str | None:
    """Return the text of a file, or None if it does not exist."""
    try:
        descriptor = os.open(file, _READ)
    except OSError:
        return None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        return os.read(descriptor, _MAX_SENTENCE_BYTES).decode(errors="replace")
    finally:
        os.close(descriptor)


def _write(file: Path, sentence: str) -> None:
    """Write a notice; without it the start after an interrupted one has none."""
    try:
        descriptor = os.open(file, _WRITE, 0o600)
        with os.fdopen(descriptor, "w") as opened:
            opened.write(sentence)
    except OSError as error:
        _log.warn("{file} cannot be written: {error}", file=file, error=error)
