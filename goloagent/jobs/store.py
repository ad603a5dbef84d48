"""Jobs and binaries in SQLite: the agent's memory between two lives.

A job that is not settled is one live object, handed out to whoever asks for it; `save` writes it
through. A settled job is read from its row each time. Knows SQL and nothing of running, delivering
or HTTP. docs/operations.md explains every column.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import attrs

from goloagent.jobs.job import Calls, Cause, Exit, Job, Results, State
from goloagent.jobs.spec import JobSpec

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
CREATE INDEX IF NOT EXISTS jobs_unsettled ON jobs (position) WHERE NOT settled;
"""


@attrs.frozen
class Binary:
    """An uploaded load test: a file named `id` whose content is known by `sha256`."""

    id: str
    sha256: str
    size: int
    uploaded_at: datetime


class Store:
    """The database at `path`, made when missing. Used from one thread.

    Raises:
        OSError: the disk is full (ENOSPC).
        sqlite3.Error: the database cannot be opened, read or written for another reason.
    """

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path, isolation_level=None)
        self._database.row_factory = sqlite3.Row
        # WAL with NORMAL survives a kill at any moment; only a power cut can take the last commits.
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = NORMAL")
        self._database.executescript(_SCHEMA)
        rows = self._database.execute("SELECT * FROM jobs WHERE NOT settled ORDER BY position")
        self._live: dict[str, Job] = {row["id"]: _job(row) for row in rows}

    def close(self) -> None:
        """Close the database; what was saved stays."""
        self._database.close()

    def add_binary(self, binary: Binary) -> None:
        """Keep a new binary's record."""
        self._insert("binaries", attrs.asdict(binary) | {"uploaded_at": _text(binary.uploaded_at)})

    def binary(self, binary_id: str) -> Binary | None:
        """Return the binary with this id, compared as text, or None."""
        row = self._database.execute("SELECT * FROM binaries WHERE id = ?", [binary_id]).fetchone()
        if row is None:
            return None
        return Binary(**dict(row) | {"uploaded_at": datetime.fromisoformat(row["uploaded_at"])})

    def add(self, job: Job) -> None:
        """Put a new job at the end of the queue; it is kept once this returns."""
        self._insert("jobs", _row(job))
        self._live[job.id] = job

    def save(self, job: Job) -> None:
        """Write a live job through; a job that is settled by now is let go of."""
        row = _row(job)
        columns = ", ".join(f"{column} = :{column}" for column in row)
        self._write(f"UPDATE jobs SET {columns} WHERE id = :id", row)
        if job.settled:
            self._live.pop(job.id, None)

    def get(self, job_id: str) -> Job | None:
        """Return the job with this id, live where it is, or None."""
        if job_id in self._live:
            return self._live[job_id]
        row = self._database.execute("SELECT * FROM jobs WHERE id = ?", [job_id]).fetchone()
        return None if row is None else _job(row)

    def queued(self) -> list[Job]:
        """Return the jobs that wait to run, first come first."""
        return [job for job in self._live.values() if job.state is State.QUEUED]

    def unsettled(self) -> Iterator[Job]:
        """Yield the jobs that are not over or have results pending, in order."""
        return iter(list(self._live.values()))

    def _insert(self, table: str, row: dict[str, Any]) -> None:
        names = ", ".join(row)
        values = ", ".join(f":{column}" for column in row)
        self._write(f"INSERT INTO {table} ({names}) VALUES ({values})", row)

    def _write(self, statement: str, row: dict[str, Any]) -> None:
        try:
            self._database.execute(statement, row)
        except sqlite3.OperationalError as error:
            if "full" not in str(error):  # Python 3.10 has no other way to tell SQLITE_FULL
                raise
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "the database") from error


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
        **{f"calls_{name}": count for name, count in calls.items()},
        **results,
    }


def _job(row: sqlite3.Row) -> Job:
    """Read a job from its columns."""
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
        logged=bool(row["logged"]),
        calls=Calls(**{field.name: row[f"calls_{field.name}"] for field in attrs.fields(Calls)}),
        results=Results(**{field.name: row[field.name] for field in attrs.fields(Results)}),
    )


def _text(time: datetime | None) -> str | None:
    return time.isoformat() if time else None


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
