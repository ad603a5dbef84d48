"""Jobs and binaries in SQLite: the agent's memory between two lives.

A job that is not settled is one live object, handed out to whoever asks for it; `save` writes it
through. A settled job is read from its row each time. Knows SQL and nothing of running, delivering
or HTTP. What goes wrong is an OSError, as with any other file. docs/operations.md explains every
column.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import attrs

from goloagent.jobs.job import Calls, Cause, Exit, Job, Results, State
from goloagent.jobs.spec import JobSpec
from goloagent.space import is_full

_SCHEMA = """
CREATE TABLE IF NOT EXISTS binaries (
    id          TEXT PRIMARY KEY,
    sha256      TEXT NOT NULL,
    size        INTEGER NOT NULL,
    uploaded_at TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS jobs (
    position         INTEGER PRIMARY KEY AUTOINCREMENT,
    id               TEXT NOT NULL UNIQUE,
    name             TEXT NOT NULL,
    users            INTEGER NOT NULL,
    duration_seconds INTEGER NOT NULL,
    binary           TEXT NOT NULL,
    queued_at        TEXT NOT NULL,
    state            TEXT NOT NULL,
    reason           TEXT,
    sentence         TEXT,
    started_at       TEXT,
    ended_at         TEXT,
    exit_code        INTEGER,
    exit_signal      TEXT,
    logged           INTEGER NOT NULL,
    settled          INTEGER NOT NULL,
    calls_started    INTEGER NOT NULL,
    calls_ok         INTEGER NOT NULL,
    calls_failed     INTEGER NOT NULL,
    read             INTEGER NOT NULL,
    invalid          INTEGER NOT NULL,
    delivered        INTEGER NOT NULL,
    rejected         INTEGER NOT NULL,
    committed        INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS binaries_by_content ON binaries (sha256, size);
CREATE INDEX IF NOT EXISTS jobs_by_state ON jobs (state, position);
CREATE INDEX IF NOT EXISTS jobs_by_name ON jobs (name, position);
CREATE INDEX IF NOT EXISTS jobs_unsettled ON jobs (position) WHERE NOT settled;
"""

# What was added since, in order; `user_version` counts those that a database has. Nothing is ever
# taken away, so that an earlier agent can use a database of a later one.
_ADDITIONS = ("ALTER TABLE jobs ADD COLUMN stderr_tail TEXT NOT NULL DEFAULT ''",)

_CHECKPOINT_BYTES = 512 * 1024
_NOT_DAMAGED = (
    "attempt to write a readonly database",
    "database is locked",
    "database or disk is full",
    "unable to open database file",
)


@attrs.frozen
class Binary:
    """An uploaded load test: a file named `id` whose content is known by `sha256`."""

    id: str
    sha256: str
    size: int
    uploaded_at: datetime


@attrs.frozen
class Content:
    """What one binary or several of them hold."""

    sha256: str
    size: int


@attrs.frozen
class SettledRun:
    """A job's log that nothing will be read from any more."""

    job_id: str
    name: str
    ended_at: datetime


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
        # The row of the job that was saved last: the next time few columns of it have changed, and
        # an index of others is not written again.
        self._saved: dict[str, Any] = {}
        try:
            self._database = sqlite3.connect(path, isolation_level=None)
        except sqlite3.Error as error:
            raise _os_error(error) from error
        try:
            self._live = self._open()
            # Kept open: only to who has had a file open does the system tell what it lost of it.
            self._wal = os.open(f"{path}-wal", os.O_RDONLY | os.O_CLOEXEC)
        except BaseException as error:
            self._database.close()
            if isinstance(error, sqlite3.Error | ValueError | TypeError):
                raise _refusal(error) from error
            raise

    def _open(self) -> dict[str, Job]:
        """See that the database is whole and return its live jobs."""
        database = self._database
        database.row_factory = sqlite3.Row
        # WAL with NORMAL survives a kill at any moment; for power cuts there is `sync`.
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        # A checkpoint waits for the disk: `sync` makes them, off the reactor thread.
        database.execute("PRAGMA wal_autocheckpoint = 0")
        database.execute("PRAGMA journal_size_limit = 0")
        database.executescript(_SCHEMA)
        (found,) = database.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise Damaged(" ".join(found.split()))
        (version,) = database.execute("PRAGMA user_version").fetchone()
        for number, addition in enumerate(_ADDITIONS, 1):
            if number > version:
                database.executescript(f"BEGIN; {addition}; PRAGMA user_version = {number}; COMMIT")
        rows = database.execute("SELECT * FROM jobs WHERE NOT settled ORDER BY position")
        return {row["id"]: _job(row) for row in rows}

    def close(self) -> None:
        """Close the database; what was saved stays. A second time does nothing."""
        if self._wal >= 0:
            os.close(self._wal)
        self._wal = -1
        self._database.close()

    @property
    def changes(self) -> int:
        """How many rows were ever written: when it stands still, there is nothing to sync."""
        return self._database.total_changes

    def sync(self) -> None:
        """Have the disk take what was saved. Takes its time: call it off the reactor thread.

        Raises:
            OSError: it may not have; never try again and trust the answer.
        """
        os.fsync(self._wal)
        if os.fstat(self._wal).st_size < _CHECKPOINT_BYTES:
            return
        try:
            with closing(sqlite3.connect(self._path)) as database:
                database.execute("PRAGMA wal_checkpoint(PASSIVE)")
        except sqlite3.Error as error:
            # Without room in the database, everything stays in the WAL, where it is safe.
            if not is_full(_os_error(error)):
                raise _os_error(error) from error

    def freeze(self) -> None:
        """Write nothing any more: the disk cannot be trusted with it."""
        self._frozen = True

    def add_binary(self, binary: Binary) -> None:
        """Keep a new binary's record."""
        self._insert("binaries", attrs.asdict(binary) | {"uploaded_at": _text(binary.uploaded_at)})

    def binary(self, binary_id: str) -> Binary | None:
        """Return the binary with this id, compared as text, or None."""
        row = self._execute("SELECT * FROM binaries WHERE id = ?", [binary_id])
        return None if row is None else _binary(row)

    def binaries(
        self, limit: int = -1, before: str | None = None, sha256: str | None = None
    ) -> list[Binary]:
        """Return binaries, the newest first: up to `limit`, older than `before`, with a content."""
        conditions = {
            "rowid < (SELECT rowid FROM binaries WHERE id = :before)": before,
            "sha256 = :sha256": sha256,
        }
        query = f"SELECT * FROM binaries {_where(conditions)} ORDER BY rowid DESC LIMIT :limit"
        rows = self._all(query, {"before": before, "sha256": sha256, "limit": limit})
        return list(map(_binary, rows))

    def contents(self) -> list[Content]:
        """Return what the binaries hold, each content once, that one first that came last ago."""
        rows = self._all(
            "SELECT sha256, max(size) AS size FROM binaries GROUP BY sha256 ORDER BY max(rowid)", {}
        )
        return [Content(row["sha256"], row["size"]) for row in rows]

    def needed_binaries(self) -> set[str]:
        """Return the ids of the binaries that jobs which are not over may still run."""
        return {job.spec.binary for job in self._live.values() if not job.state.over}

    def remove_binary(self, binary_id: str) -> None:
        """Forget a binary; the jobs that ran it keep its id."""
        self._check_writable()
        self._execute("DELETE FROM binaries WHERE id = ?", [binary_id])

    def add(self, job: Job) -> None:
        """Put a new job at the end of the queue; it is kept once this returns."""
        self._insert("jobs", _row(job))
        self._live[job.id] = job

    def save(self, job: Job) -> None:
        """Write a live job through; a job that is settled by now is let go of."""
        if self._frozen:
            return
        row = _row(job)
        before = self._saved if self._saved.get("id") == job.id else {}
        self._saved = {}  # until it is written
        changed = sorted(column for column, _ in row.items() - before.items())
        if changed:
            columns = ", ".join(f"{column} = :{column}" for column in changed)
            self._execute(f"UPDATE jobs SET {columns} WHERE id = :id", row)
        self._saved = row
        if job.settled:
            self._live.pop(job.id, None)

    def get(self, job_id: str) -> Job | None:
        """Return the job with this id, live where it is, or None."""
        if job_id in self._live:
            return self._live[job_id]
        row = self._execute("SELECT * FROM jobs WHERE id = ?", [job_id])
        try:
            return None if row is None else _job(row)
        except (ValueError, TypeError) as error:
            raise OSError(errno.EIO, f"the row of job {job_id} is damaged: {error}") from error

    def newest(
        self, limit: int, state: State | None, name: str | None, before: str | None
    ) -> list[Job]:
        """Return up to `limit` jobs, the newest first, of those older than the job `before`."""
        conditions = {
            "state = :state": state and state.value,
            "name = :name": name,
            "position < (SELECT position FROM jobs WHERE id = :before)": before,
        }
        values = {"state": state and state.value, "name": name, "before": before, "limit": limit}
        query = f"SELECT * FROM jobs {_where(conditions)} ORDER BY position DESC LIMIT :limit"
        try:
            return [self._live.get(row["id"]) or _job(row) for row in self._all(query, values)]
        except (ValueError, TypeError) as error:
            raise OSError(errno.EIO, f"the database: {error}") from error

    def count(self) -> dict[State, int]:
        """Return how many jobs there are of each state that any is in."""
        try:
            rows = self._database.execute("SELECT state, COUNT(*) FROM jobs GROUP BY state")
            return {State(state): count for state, count in rows}
        except (sqlite3.Error, ValueError) as error:
            raise OSError(errno.EIO, f"the database: {error}") from error

    def queued(self) -> list[Job]:
        """Return the jobs that wait to run, first come first."""
        return [job for job in self._live.values() if job.state is State.QUEUED]

    def unsettled(self) -> Iterator[Job]:
        """Yield the jobs that are not over or have results pending, in order."""
        return iter(list(self._live.values()))

    def settled_runs(self) -> list[SettledRun]:
        """Return the settled jobs that have a log, those first that ended first."""
        try:
            rows = self._database.execute(
                "SELECT id, name, ended_at FROM jobs WHERE settled AND logged ORDER BY ended_at"
            ).fetchall()
            return [SettledRun(row["id"], row["name"], _ended(row)) for row in rows]
        except (sqlite3.Error, ValueError, TypeError) as error:
            raise OSError(errno.EIO, f"the database: {error}") from error

    def forget_log(self, job_id: str) -> None:
        """Keep that a settled job has no log any more."""
        if not self._frozen:
            self._execute("UPDATE jobs SET logged = 0 WHERE id = :id AND settled", {"id": job_id})

    def _insert(self, table: str, row: dict[str, Any]) -> None:
        self._check_writable()
        names = ", ".join(row)
        values = ", ".join(f":{column}" for column in row)
        self._execute(f"INSERT INTO {table} ({names}) VALUES ({values})", row)

    def _check_writable(self) -> None:
        if self._frozen:
            raise OSError(errno.EIO, "the disk of the database has failed")

    def _all(self, query: str, values: dict[str, Any]) -> list[sqlite3.Row]:
        """Return all rows that a query gives."""
        try:
            return self._database.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise _os_error(error) from error

    def _execute(self, statement: str, values: list[str] | dict[str, Any]) -> sqlite3.Row | None:
        """Execute a statement, to its end, and return the first row that it gives."""
        try:
            row: sqlite3.Row | None = self._database.execute(statement, values).fetchone()
        except sqlite3.IntegrityError:
            raise  # an id is taken: no disk's fault
        except sqlite3.Error as error:
            raise _os_error(error) from error
        return row


def _os_error(error: sqlite3.Error) -> OSError:
    """Return what the operating system would have said."""
    return OSError(errno.ENOSPC if "full" in str(error) else errno.EIO, f"the database: {error}")


def _refusal(error: Exception) -> Exception:
    """Tell a database that cannot be opened from one that is open and holds something else."""
    if str(error).startswith(_NOT_DAMAGED):
        return OSError(errno.EIO, str(error))
    return Damaged(str(error))


def _where(conditions: dict[str, Any]) -> str:
    """Return the clause of those conditions whose value is given."""
    wanted = [condition for condition, value in conditions.items() if value is not None]
    return f"WHERE {' AND '.join(wanted)}" if wanted else ""


def _binary(row: sqlite3.Row) -> Binary:
    try:
        return Binary(**dict(row) | {"uploaded_at": datetime.fromisoformat(row["uploaded_at"])})
    except ValueError as error:
        raise OSError(errno.EIO, f"the row of binary {row['id']} is damaged: {error}") from error


def _ended(row: sqlite3.Row) -> datetime:
    return datetime.fromisoformat(row["ended_at"])


def _row(job: Job) -> dict[str, Any]:
    """Return a job's columns, all but its position."""
    calls, results = attrs.asdict(job.calls), attrs.asdict(job.results)
    return {
        "id": job.id,
        **attrs.asdict(job.spec),
        "queued_at": _text(job.queued_at),
        "state": job.state.value,
        "reason": job.cause and job.cause.reason,
        "sentence": job.cause and job.cause.sentence,
        "started_at": _text(job.started_at),
        "ended_at": _text(job.ended_at),
        "exit_code": job.exit and job.exit.code,
        "exit_signal": job.exit and job.exit.signal,
        "logged": job.logged,
        "settled": job.settled,
        "stderr_tail": job.stderr_tail,
        **{f"calls_{name}": count for name, count in calls.items()},
        **results,
    }


def _job(row: sqlite3.Row) -> Job:
    """Read a job from its columns.

    Raises:
        ValueError: they cannot be a job's.
    """
    if min(value for value in tuple(row) if isinstance(value, int)) < 0:
        raise ValueError("a negative number")
    has_exit = row["exit_code"] is not None or row["exit_signal"] is not None
    return Job(
        id=row["id"],
        spec=JobSpec(**{field.name: row[field.name] for field in attrs.fields(JobSpec)}),
        queued_at=datetime.fromisoformat(row["queued_at"]),
        state=State(row["state"]),
        cause=Cause(row["reason"], row["sentence"]) if row["reason"] else None,
        started_at=_time(row["started_at"]),
        ended_at=_time(row["ended_at"]),
        exit=Exit(row["exit_code"], row["exit_signal"]) if has_exit else None,
        stderr_tail=row["stderr_tail"],
        logged=bool(row["logged"]),
        calls=Calls(**{field.name: row[f"calls_{field.name}"] for field in attrs.fields(Calls)}),
        results=Results(**{field.name: row[field.name] for field in attrs.fields(Results)}),
    )


def _text(time: datetime | None) -> str | None:
    return time.isoformat() if time else None


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
