"""The SQLite file of the agent: opened and checked, synced, read and written.

Errors are OSErrors, as of any other file. Damaged rows are reported once and skipped. Other
processes may read the file at any time; if one locks it for writing, a write fails at once with
EBUSY, because waiting would block the reactor.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from goloagent.filesystem import durable
from goloagent.jobs.rows import ADDITIONS, SCHEMA

_CHECKPOINT_BYTES = 512 * 1024
_OPEN_TIMEOUT_SECONDS = 5.0
# The beginning of SQLite's messages, and the error number of the operating system.
_ERRNOS = (
    ("database is locked", errno.EBUSY),
    ("database table is locked", errno.EBUSY),
    ("database schema is locked", errno.EBUSY),
    ("database or disk is full", errno.ENOSPC),
    ("attempt to write a readonly database", errno.EROFS),
    ("unable to open database file", errno.EIO),
)

_Read = TypeVar("_Read")


class Damaged(Exception):
    """The file is not a whole database of the agent; the message says what was found."""


class SqliteFile:
    """The database at `path`, created if missing. Used from one thread, except `sync`.

    Raises:
        Damaged: the file is something else.
        OSError: it cannot be opened; later: it cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._frozen = False
        self._reported: set[str] = set()
        self._unreported: list[str] = []
        self._report: Callable[[str], None] = self._unreported.append
        try:
            self._database = sqlite3.connect(path, _OPEN_TIMEOUT_SECONDS, isolation_level=None)
        except sqlite3.Error as error:
            raise _os_error(error) from error
        try:
            self._open()
            self._load()
            # Kept open, because the system reports a lost write only to files that were open.
            self._wal = os.open(f"{path}-wal", os.O_RDONLY | os.O_CLOEXEC)
            durable.sync(self._wal)
            durable.sync_way(path.parent)
        except BaseException as error:
            self._database.close()
            if isinstance(error, sqlite3.Error | ValueError | TypeError):
                raise _opening_error(error) from error
            raise

    def _open(self) -> None:
        database = self._database
        database.row_factory = sqlite3.Row
        # Text that is not UTF-8 must not make a whole page of rows unreadable.
        database.text_factory = lambda text: text.decode(errors="replace")
        # WAL with NORMAL survives a kill at any moment; `sync` is for power cuts.
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        # Overwritten values may be secret: SQLite then zeroes the free pages.
        database.execute("PRAGMA secure_delete = ON")
        # A checkpoint waits for the disk, so `sync` makes it in a worker thread.
        database.execute("PRAGMA wal_autocheckpoint = 0")
        database.execute("PRAGMA journal_size_limit = 0")
        database.executescript(SCHEMA)
        (found,) = database.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise Damaged(" ".join(found.split()))
        (version,) = database.execute("PRAGMA user_version").fetchone()
        for number, addition in enumerate(ADDITIONS, 1):
            if number > version:
                database.executescript(f"BEGIN; {addition}; PRAGMA user_version = {number}; COMMIT")
        database.execute("PRAGMA busy_timeout = 0")

    def _load(self) -> None:
        """Read what a subclass keeps in memory."""

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        if self._wal >= 0:
            os.close(self._wal)
        self._wal = -1
        self._database.close()

    def report_to(self, report: Callable[[str], None]) -> None:
        """Call `report` with a sentence for each damaged row, once, including earlier ones."""
        self._report = report
        while self._unreported:
            report(self._unreported.pop(0))

    @property
    def changes(self) -> int:
        """The number of rows ever written; unchanged, there is nothing to sync."""
        return self._database.total_changes

    def sync(self) -> None:
        """Flush the saved changes to the disk. Blocks: call it in a worker thread.

        Raises:
            SyncFailed: the disk failed; a second sync that succeeds would prove nothing.
        """
        durable.sync(self._wal)
        if os.fstat(self._wal).st_size < _CHECKPOINT_BYTES:
            return
        try:
            with closing(sqlite3.connect(self._path, 0.0)) as database:
                database.execute("PRAGMA wal_checkpoint(PASSIVE)")
        except sqlite3.Error as error:
            # On other errors everything stays safe in the WAL, and the next sync tries again.
            if "I/O error" in str(error):
                raise durable.SyncFailed(errno.EIO, f"the database: {error}") from error

    def check_writable(self) -> None:
        """Check that a change could be saved now.

        Raises:
            OSError: it could not; with EBUSY, another process has locked the database.
        """
        self._check_frozen()
        try:
            self._database.execute("BEGIN IMMEDIATE")
            self._database.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise _os_error(error) from error

    def freeze(self) -> None:
        """Reject all further changes, because the disk has failed."""
        self._frozen = True

    def _check_frozen(self) -> None:
        if self._frozen:
            raise OSError(errno.EIO, "the disk of the database has failed")

    def _insert(self, table: str, row: dict[str, Any]) -> None:
        self._check_frozen()
        names = ", ".join(row)
        values = ", ".join(f":{column}" for column in row)
        self._write(f"INSERT INTO {table} ({names}) VALUES ({values})", row)

    def _first(
        self, query: str, values: dict[str, Any], read: Callable[[sqlite3.Row], _Read]
    ) -> _Read | None:
        """Return the value of the first readable row of a query, or None."""
        return next(iter(self._some(query, values, read, 1)), None)

    def _some(
        self,
        query: str,
        values: dict[str, Any],
        read: Callable[[sqlite3.Row], _Read],
        limit: int = -1,
    ) -> list[_Read]:
        """Return the values of the first `limit` readable rows of a query; -1 means all."""
        try:
            with closing(self._database.execute(query, values)) as rows:
                found = self._readable(rows, read)
                return list(found if limit < 0 else islice(found, limit))
        except sqlite3.Error as error:
            raise _os_error(error) from error

    def _ids(self, table: str) -> set[str]:
        return set(self._some(f"SELECT id FROM {table}", {}, lambda row: str(row["id"])))

    def _readable(
        self, rows: Iterable[sqlite3.Row], read: Callable[[sqlite3.Row], _Read]
    ) -> Iterator[_Read]:
        """Yield the value of each row; report damaged rows and skip them."""
        for row in rows:
            try:
                found = read(row)
            except (ValueError, TypeError) as error:
                if row["id"] not in self._reported:
                    self._reported.add(row["id"])
                    self._report(f"the database row of {row['id']} is damaged and skipped: {error}")
            else:
                yield found

    def _write(self, statement: str, values: dict[str, Any]) -> list[sqlite3.Row]:
        """Execute a statement completely, and return the rows that it returns."""
        try:
            return self._database.execute(statement, values).fetchall()
        except sqlite3.IntegrityError:
            raise  # an id exists already: a defect
        except sqlite3.Error as error:
            raise _os_error(error) from error


def where(conditions: dict[str, Any]) -> str:
    """Return a WHERE clause of the conditions whose value is not None."""
    given = [condition for condition, value in conditions.items() if value is not None]
    return f"WHERE {' AND '.join(given)}" if given else ""


def _os_error(error: sqlite3.Error) -> OSError:
    """Return the error of the operating system that SQLite's message stands for."""
    numbers = [number for text, number in _ERRNOS if str(error).startswith(text)]
    return OSError(numbers[0] if numbers else errno.EIO, f"the database: {error}")


def _opening_error(error: Exception) -> Exception:
    """Return OSError if the database cannot be opened, Damaged if it is something else."""
    if str(error).startswith(tuple(text for text, _ in _ERRNOS)):
        return OSError(errno.EIO, str(error))
    return Damaged(str(error))
