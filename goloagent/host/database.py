"""The job database as a start finds it: opened, or set aside and made anew.

Rows for what the disk holds and the database does not know are restored by `runs.recovery`, at
every start. Here it is only decided whether a new database takes the place of the one that is
there, and what is said about it.
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

# What an empty database needs on disk, with its log and its index.
_ROOM_BYTES = 256 * 1024
# SQLite's header; it takes a file that is shorter for an empty database.
_HEADER_BYTES = 100
_MAX_SENTENCE_BYTES = 4096
_SUFFIXES = ("", "-wal", "-shm")
# O_NONBLOCK: to open a FIFO would wait for its other end.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

_log = Logger()


class Database(Enum):
    """What stands at the database's path."""

    WHOLE = "whole"
    MISSING = "missing"
    EMPTY = "empty"
    DAMAGED = "damaged"


@attrs.frozen
class Found:
    """What a start found.

    Args:
        detail: what is damaged.
        remains: whether there are binaries, runs or queued jobs on the disk.
        restoring: what an earlier start said when it began to restore and did not end.
    """

    condition: Database
    detail: str = ""
    remains: bool = False
    restoring: str | None = None


@attrs.frozen
class Plan:
    """What a start does about the database.

    Args:
        replace: move what is there to another name, and make a new database.
        sentence: what the operator is told while what the disk holds is restored.
    """

    replace: bool
    sentence: str | None


def plan(found: Found, aside: Path) -> Plan:
    """Decide; `aside` is where what is there would be moved to."""
    match found.condition:
        case Database.WHOLE:
            return Plan(replace=False, sentence=found.restoring)
        case Database.DAMAGED:
            sentence = f"the database was damaged ({found.detail}) and is kept as {aside}"
            return Plan(replace=True, sentence=sentence)
        case _ if found.remains:
            return Plan(replace=True, sentence=f"the database was {found.condition.value}")
        case _:
            return Plan(replace=False, sentence=None)


def open_database(
    path: Path, restoring: Path, remains: Callable[[], bool], now: Callable[[], datetime]
) -> tuple[Store, str | None]:
    """Open the database at `path`; return it with a sentence while something is to be restored.

    The sentence is in the file `restoring` until that is removed, for a start that is cut short.

    Args:
        remains: tells whether the disk holds binaries, runs or queued jobs.

    Raises:
        StartupError: no database can be opened or made there.
    """
    try:
        if path.is_symlink():
            # One that leads nowhere may lead to a disk that is not mounted.
            path = Path(os.path.realpath(path, strict=True))
        condition, detail, store = _examine(path)
        lost = condition in (Database.MISSING, Database.EMPTY)
        found = Found(condition, detail, lost and remains(), _read(restoring))
        aside = path.with_name(f"{path.name}.damaged-{now():%Y%m%dT%H%M%S.%fZ}")
        decided = plan(found, aside)
        if decided.replace:
            # A full disk can look like damage, and a good database must stay where it is.
            _try_to_write(path.parent)
            _write(restoring, decided.sentence or "")
            _set_aside(path, aside)
        return store or _open(path), decided.sentence
    except (OSError, Damaged) as error:
        raise StartupError(f"--state: the database {path}: {reason(error)}") from None


def _examine(path: Path) -> tuple[Database, str, Store | None]:
    """Return what stands at `path`, what is wrong with it, and the database if it is whole."""
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
    _set_odd_companions_aside(path)
    try:
        return Database.WHOLE, "", _open(path)
    except Damaged as error:
        return Database.DAMAGED, str(error), None


def _open(path: Path) -> Store:
    os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
    return Store(path)


def _set_aside(path: Path, aside: Path) -> None:
    """Rename the database and what belongs to it."""
    for suffix in _SUFFIXES:
        with suppress(FileNotFoundError):
            Path(f"{path}{suffix}").rename(f"{aside}{suffix}")


def _set_odd_companions_aside(path: Path) -> None:
    """Rename what stands in the place of SQLite's other files and is not a file."""
    for suffix in _SUFFIXES[1:]:
        companion = Path(f"{path}{suffix}")
        with suppress(FileNotFoundError):
            if not stat.S_ISREG(companion.lstat().st_mode):
                companion.rename(f"{companion}.damaged-{os.urandom(4).hex()}")
                _log.warn("{path} was not a file; it is moved aside", path=companion)


def _try_to_write(directory: Path) -> None:
    with tempfile.TemporaryFile(dir=directory) as file:
        file.write(bytes(_ROOM_BYTES))


def _read(file: Path) -> str | None:
    """Return what a file says, or None where there is no such file."""
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
    """Keep a sentence; without it a start that is cut short is followed by one that says less."""
    try:
        descriptor = os.open(file, _WRITE, 0o600)
        with os.fdopen(descriptor, "w") as opened:
            opened.write(sentence)
    except OSError as error:
        _log.warn("{file} cannot be written: {error}", file=file, error=error)
