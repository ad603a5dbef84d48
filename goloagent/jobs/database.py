"""Jobs and binaries in SQLite: the agent's memory between two lives.

A job that is not settled is one live object, handed out to whoever asks for it; `save` writes it
through. A settled job is read from its row each time. Knows SQL and nothing of running, delivering
or HTTP. What goes wrong is an OSError, as with any other file. A row that is damaged is reported
and left out. docs/operations.md explains every column.

Another process may read the database at any time. One that locks it for writing makes writes fail
at once with EBUSY: to wait here would stop the reactor.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from goloagent.filesystem import durable
from goloagent.jobs.job import Job, State
from goloagent.jobs.rows import (
    ADDITIONS,
    SCHEMA,
    Binary,
    Content,
    SettledRun,
    binary_row,
    job_row,
    read_binary,
    read_content,
    read_job,
    read_settled_run,
    text_of,
)

__all__ = ["Binary", "Content", "Damaged", "SettledRun", "Store"]

_CHECKPOINT_BYTES = 512 * 1024
# Nothing else runs yet when the database is opened.
_OPEN_SECONDS = 5.0
# The first words of SQLite's messages, by what the system would have said.
_ERRNOS = (
    ("database is locked", errno.EBUSY),
    ("database table is locked", errno.EBUSY),
    ("database schema is locked", errno.EBUSY),
    ("database or disk is full", errno.ENOSPC),
    ("attempt to write a readonly database", errno.EROFS),
    ("unable to open database file", errno.EIO),
)
_UNREADABLE = (ValueError, TypeError)

_Read = TypeVar("_Read")


class Damaged(Exception):
    """The file is no database of ours, or not a whole one; the message says what was found."""


class Store:
    """The database at `path`, made when missing. Used from one thread, but for `sync`.

    Raises:
        Damaged: it holds something else.
        OSError: it cannot be opened, and later: it cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._frozen = False
        self._reported: set[str] = set()
        self._unheard: list[str] = []
        self._report: Callable[[str], None] = self._unheard.append
        # The row of the job that was saved last: the next time few columns of it have changed, and
        # an index of others is not written again.
        self._saved: dict[str, Any] = {}
        try:
            self._database = sqlite3.connect(path, _OPEN_SECONDS, isolation_level=None)
        except sqlite3.Error as error:
            raise _os_error(error) from error
        try:
            self._live = self._open()
            self._states = {job.id: job.state for job in self._live.values()}
            self._counts = self._count()
            # By SHA-256: how large each content is, and how many binaries hold it.
            self._sizes = {content.sha256: content.size for content in self.contents()}
            self._holders = self._count_holders()
            # Kept open: only to who has had a file open does the system tell what it lost of it.
            self._wal = os.open(f"{path}-wal", os.O_RDONLY | os.O_CLOEXEC)
            durable.sync(self._wal)
            durable.sync_way(path.parent)
        except BaseException as error:
            self._database.close()
            if isinstance(error, sqlite3.Error | ValueError | TypeError):
                raise _refusal(error) from error
            raise

    def _open(self) -> dict[str, Job]:
        """See that the database is whole and return its live jobs."""
        database = self._database
        database.row_factory = sqlite3.Row
        # One text that is not UTF-8 must not make a whole page of rows unreadable.
        database.text_factory = lambda text: text.decode(errors="replace")
        # WAL with NORMAL survives a kill at any moment; for power cuts there is `sync`.
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        # A checkpoint waits for the disk: `sync` makes them, off the reactor thread.
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
        rows = database.execute("SELECT * FROM jobs WHERE NOT settled ORDER BY position")
        return {job.id: job for job in self._readable(rows, read_job)}

    def _count(self) -> Counter[State]:
        rows = self._database.execute("SELECT state, COUNT(*) FROM jobs GROUP BY state")
        known = {state.value for state in State}
        return Counter({State(state): count for state, count in rows if state in known})

    def _count_holders(self) -> Counter[str]:
        rows = self._database.execute("SELECT sha256, COUNT(*) FROM binaries GROUP BY sha256")
        return Counter(dict(rows))

    def close(self) -> None:
        """Close the database; what was saved stays. A second time does nothing."""
        if self._wal >= 0:
            os.close(self._wal)
        self._wal = -1
        self._database.close()

    def report_to(self, report: Callable[[str], None]) -> None:
        """Call `report` with a sentence for each damaged row, once, also for those known by now."""
        self._report = report
        while self._unheard:
            report(self._unheard.pop(0))

    @property
    def changes(self) -> int:
        """How many rows were ever written: when it stands still, there is nothing to sync."""
        return self._database.total_changes

    def sync(self) -> None:
        """Have the disk take what was saved. Takes its time: call it off the reactor thread.

        Raises:
            SyncFailed: it did not; never try again and trust the answer.
        """
        durable.sync(self._wal)
        if os.fstat(self._wal).st_size < _CHECKPOINT_BYTES:
            return
        try:
            with closing(sqlite3.connect(self._path, 0.0)) as database:
                database.execute("PRAGMA wal_checkpoint(PASSIVE)")
        except sqlite3.Error as error:
            # Everything stays in the WAL, where it is safe: locked, without room or descriptors,
            # the next sync tries again.
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
        """Let no change be saved any more: the disk cannot be trusted with it."""
        self._frozen = True

    def add_binary(self, binary: Binary) -> None:
        """Keep a new binary's record."""
        self._insert("binaries", binary_row(binary))
        self._sizes[binary.sha256] = binary.size
        self._holders[binary.sha256] += 1

    def binary(self, binary_id: str) -> Binary | None:
        """Return the binary with this id, compared as text, or None."""
        return self._first("SELECT * FROM binaries WHERE id = :id", {"id": binary_id}, read_binary)

    def binaries(
        self, limit: int = -1, before: str | None = None, sha256: str | None = None
    ) -> list[Binary]:
        """Return binaries, the newest first: up to `limit`, older than `before`, with a content."""
        conditions = {
            "rowid < (SELECT rowid FROM binaries WHERE id = :before)": before,
            "sha256 = :sha256": sha256,
        }
        query = f"SELECT * FROM binaries {_where(conditions)} ORDER BY rowid DESC"
        return self._some(query, {"before": before, "sha256": sha256}, read_binary, limit)

    def contents(self) -> list[Content]:
        """Return what the binaries hold, each content once, that one first that came last ago."""
        query = (
            "SELECT sha256, max(size) AS size, sha256 AS id FROM binaries"
            " GROUP BY sha256 ORDER BY max(rowid)"
        )
        return self._some(query, {}, read_content)

    def binary_ids(self) -> set[str]:
        """Return the ids of all binaries."""
        return {*self._some("SELECT id FROM binaries", {}, _read_id)}

    def job_ids(self) -> set[str]:
        """Return the ids of all jobs."""
        return {*self._some("SELECT id FROM jobs", {}, _read_id)}

    def needed_binaries(self) -> set[str]:
        """Return the ids of the binaries that jobs which are not over may still run."""
        return {job.spec.binary for job in self._live.values() if not job.state.over}

    def remove_binary(self, binary_id: str) -> None:
        """Forget a binary; the jobs that ran it keep its id."""
        self._check_frozen()
        query = "DELETE FROM binaries WHERE id = :id RETURNING sha256"
        for row in self._write(query, {"id": binary_id}):
            self._holders[row["sha256"]] -= 1
            if self._holders[row["sha256"]] <= 0:
                self._forget_content(row["sha256"])

    def remove_content(self, sha256: str) -> list[str]:
        """Forget all binaries that hold a content, and return their ids."""
        self._check_frozen()
        query = "DELETE FROM binaries WHERE sha256 = :sha256 RETURNING id"
        ids = [row["id"] for row in self._write(query, {"sha256": sha256})]
        self._forget_content(sha256)
        return ids

    def bytes_with(self, coming: Content) -> int:
        """Return how many bytes all contents have, one more among them. Reads no row."""
        return sum((self._sizes | {coming.sha256: coming.size}).values())

    def _forget_content(self, sha256: str) -> None:
        self._sizes.pop(sha256, None)
        self._holders.pop(sha256, None)

    def add(self, job: Job) -> None:
        """Put a new job at the end of the queue; it is kept once this returns."""
        self._insert("jobs", job_row(job))
        self._live[job.id] = job
        self._states[job.id] = job.state
        self._counts[job.state] += 1

    def save(self, job: Job) -> None:
        """Write a live job through; a job that is settled by now is let go of."""
        self._check_frozen()
        row = job_row(job)
        before = self._saved if self._saved.get("id") == job.id else {}
        self._saved = {}  # until it is written
        changed = sorted(column for column, _ in row.items() - before.items())
        if changed:
            columns = ", ".join(f"{column} = :{column}" for column in changed)
            self._write(f"UPDATE jobs SET {columns} WHERE id = :id", row)
        self._saved = row
        if job.id in self._states:
            self._counts[self._states[job.id]] -= 1
            self._counts[job.state] += 1
            self._states[job.id] = job.state
        if job.fully_delivered:
            self._live.pop(job.id, None)
            self._states.pop(job.id, None)

    def get(self, job_id: str) -> Job | None:
        """Return the job with this id, live where it is, or None."""
        if job_id in self._live:
            return self._live[job_id]
        return self._first("SELECT * FROM jobs WHERE id = :id", {"id": job_id}, read_job)

    def newest(
        self, limit: int, state: State | None, name: str | None, before: str | None
    ) -> list[Job]:
        """Return up to `limit` jobs, the newest first, of those older than the job `before`."""
        conditions = {
            "state = :state": state and state.value,
            "name = :name": name,
            "position < (SELECT position FROM jobs WHERE id = :before)": before,
        }
        values = {"state": state and state.value, "name": name, "before": before}
        query = f"SELECT * FROM jobs {_where(conditions)} ORDER BY position DESC"
        return self._some(
            query, values, lambda row: self._live.get(row["id"]) or read_job(row), limit
        )

    def count(self) -> dict[State, int]:
        """Return how many jobs there are of each state that any is in. Reads no row."""
        return {state: count for state, count in self._counts.items() if count}

    def queued(self) -> list[Job]:
        """Return the jobs that wait to run, first come first."""
        return [job for job in self._live.values() if job.state is State.QUEUED]

    def unsettled(self) -> Iterator[Job]:
        """Yield the jobs that are not over or have results pending, in order."""
        return iter(list(self._live.values()))

    def settled_runs(self, limit: int = -1, after: SettledRun | None = None) -> list[SettledRun]:
        """Return the settled jobs that have a log, those first that ended first.

        Up to `limit` of them, of those that follow `after`.
        """
        conditions = {"settled AND logged": True, "(ended_at, id) > (:ended_at, :id)": after}
        values = {
            "ended_at": after and text_of(after.ended_at),
            "id": after and after.job_id,
        }
        query = f"SELECT id, name, ended_at FROM jobs {_where(conditions)} ORDER BY ended_at, id"
        return self._some(query, values, read_settled_run, limit)

    def forget_log(self, job_id: str) -> None:
        """Keep that a settled job has no log any more."""
        if not self._frozen:
            self._write("UPDATE jobs SET logged = 0 WHERE id = :id AND settled", {"id": job_id})

    def forget_jobs(self, keep: int, limit: int) -> int:
        """Forget up to `limit` settled jobs without a log, the oldest; return how many.

        The newest `keep` jobs stay.
        """
        if self._frozen:
            return 0
        query = (
            "DELETE FROM jobs WHERE position IN (SELECT position FROM jobs"
            " WHERE settled AND NOT logged"
            " AND position <= (SELECT max(position) FROM jobs) - :keep"
            " ORDER BY position LIMIT :limit) RETURNING state"
        )
        rows = self._write(query, {"keep": keep, "limit": limit})
        for row in rows:
            with suppress(ValueError):  # a damaged state, which was not counted
                self._counts[State(row["state"])] -= 1
        return len(rows)

    def _insert(self, table: str, row: dict[str, Any]) -> None:
        self._check_frozen()
        names = ", ".join(row)
        values = ", ".join(f":{column}" for column in row)
        self._write(f"INSERT INTO {table} ({names}) VALUES ({values})", row)

    def _check_frozen(self) -> None:
        if self._frozen:
            raise OSError(errno.EIO, "the disk of the database has failed")

    def _first(
        self, query: str, values: dict[str, Any], read: Callable[[sqlite3.Row], _Read]
    ) -> _Read | None:
        """Return what the first readable row of a query holds, or None."""
        return next(iter(self._some(query, values, read, 1)), None)

    def _some(
        self,
        query: str,
        values: dict[str, Any],
        read: Callable[[sqlite3.Row], _Read],
        limit: int = -1,
    ) -> list[_Read]:
        """Return what the first `limit` readable rows of a query hold; negative means all."""
        try:
            with closing(self._database.execute(query, values)) as rows:
                found = self._readable(rows, read)
                return list(found if limit < 0 else islice(found, limit))
        except sqlite3.Error as error:
            raise _os_error(error) from error

    def _readable(
        self, rows: Iterable[sqlite3.Row], read: Callable[[sqlite3.Row], _Read]
    ) -> Iterator[_Read]:
        """Yield what each row holds; report those that are damaged and leave them out."""
        for row in rows:
            try:
                found = read(row)
            except _UNREADABLE as error:
                self._report_once(row["id"], error)
            else:
                yield found

    def _report_once(self, row_id: str, error: Exception) -> None:
        if row_id not in self._reported:
            self._reported.add(row_id)
            self._report(f"the database row of {row_id} is damaged and left out: {error}")

    def _write(self, statement: str, values: dict[str, Any]) -> list[sqlite3.Row]:
        """Execute a statement, to its end, and return the rows that it gives."""
        try:
            return self._database.execute(statement, values).fetchall()
        except sqlite3.IntegrityError:
            raise  # an id is taken: no disk's fault
        except sqlite3.Error as error:
            raise _os_error(error) from error


def _os_error(error: sqlite3.Error) -> OSError:
    """Return what the operating system would have said."""
    numbers = [number for text, number in _ERRNOS if str(error).startswith(text)]
    return OSError(numbers[0] if numbers else errno.EIO, f"the database: {error}")


def _refusal(error: Exception) -> Exception:
    """Tell a database that cannot be opened from one that is open and holds something else."""
    if str(error).startswith(tuple(text for text, _ in _ERRNOS)):
        return OSError(errno.EIO, str(error))
    return Damaged(str(error))


def _read_id(row: sqlite3.Row) -> str:
    return str(row["id"])


def _where(conditions: dict[str, Any]) -> str:
    """Return the clause of those conditions whose value is given."""
    wanted = [condition for condition, value in conditions.items() if value is not None]
    return f"WHERE {' AND '.join(wanted)}" if wanted else ""
