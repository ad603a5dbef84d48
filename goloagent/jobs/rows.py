"""The schema of the database, and its rows as values. Pure.

Functions that read a row raise ValueError or TypeError if it is damaged.
"""

from __future__ import annotations

import json
import sqlite3
from datetime import datetime
from typing import Any

import attrs
import msgspec
from msgspec import structs

from goloagent.core.job_spec import JobSpec
from goloagent.core.spans import Span
from goloagent.core.stats.cpu_usage import RunCpu
from goloagent.core.stats.summary import ErrorSummary
from goloagent.core.verdict import Verdict
from goloagent.jobs.job import (
    CallCounts,
    Checkpoint,
    Exit,
    FailureReason,
    InvalidLine,
    Job,
    LineCounts,
    State,
)
from goloagent.jobs.output_column import read_outputs

SCHEMA = """
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
CREATE INDEX IF NOT EXISTS binaries_by_sha256 ON binaries (sha256);
CREATE INDEX IF NOT EXISTS jobs_by_state ON jobs (state, position);
CREATE INDEX IF NOT EXISTS jobs_by_name ON jobs (name, position);
CREATE INDEX IF NOT EXISTS jobs_by_name_and_state ON jobs (name, state, position);
CREATE INDEX IF NOT EXISTS jobs_unsettled ON jobs (position) WHERE NOT settled;
CREATE INDEX IF NOT EXISTS jobs_logged ON jobs (ended_at, id) WHERE settled AND logged;
CREATE INDEX IF NOT EXISTS jobs_without_log ON jobs (position) WHERE settled AND NOT logged;
"""

# Later columns in order; `user_version` is the number that a database has. None is ever removed, so
# that an older agent can use the database of a newer one.
ADDITIONS = (
    "ALTER TABLE jobs ADD COLUMN stderr_tail TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE jobs ADD COLUMN abandoned INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE jobs ADD COLUMN invalid_line TEXT",
    "ALTER TABLE jobs ADD COLUMN warnings TEXT NOT NULL DEFAULT '[]'",
    "ALTER TABLE jobs ADD COLUMN calls_dropped INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE jobs ADD COLUMN limited TEXT NOT NULL DEFAULT '[]'",
    "ALTER TABLE binaries ADD COLUMN name TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE jobs ADD COLUMN members TEXT NOT NULL DEFAULT '{}'",
    "ALTER TABLE jobs ADD COLUMN errors TEXT NOT NULL DEFAULT '[]'",
    "ALTER TABLE jobs ADD COLUMN verdict TEXT",
    "ALTER TABLE jobs ADD COLUMN outputs TEXT NOT NULL DEFAULT '{}'",
    "ALTER TABLE jobs ADD COLUMN cpu TEXT",
)


@attrs.frozen
class Binary:
    """An uploaded load test: an id for a content, which `sha256` identifies.

    `name` is the file name given by the client, only a label; "" if it is unknown.
    """

    id: str
    sha256: str
    size: int
    uploaded_at: datetime
    name: str = ""


@attrs.frozen
class Content:
    """The content of one or several binaries."""

    sha256: str
    size: int


@attrs.frozen
class SettledRun:
    """A settled job with a log."""

    job_id: str
    name: str
    ended_at: datetime


def binary_row(binary: Binary) -> dict[str, Any]:
    """Return a binary's columns."""
    return attrs.asdict(binary) | {"uploaded_at": text_of(binary.uploaded_at)}


def read_binary(row: sqlite3.Row) -> Binary:
    """Read a binary."""
    return Binary(**dict(row) | {"uploaded_at": _time(row["uploaded_at"])})


def read_content(row: sqlite3.Row) -> Content:
    """Read a content."""
    if row["size"] < 0:
        raise ValueError("a negative size")
    return Content(row["sha256"], row["size"])


def read_settled_run(row: sqlite3.Row) -> SettledRun:
    """Read a settled run."""
    return SettledRun(row["id"], row["name"], _time(row["ended_at"]))


def job_row(job: Job) -> dict[str, Any]:
    """Return a job's columns, without its position."""
    calls, results = attrs.asdict(job.calls), attrs.asdict(job.results)
    return {
        "id": job.id,
        "name": job.spec.name,
        "users": job.spec.users,
        "duration_seconds": job.spec.duration_seconds,
        "binary": job.spec.binary,
        "members": json.dumps(_members(job)),
        "queued_at": text_of(job.queued_at),
        "state": job.state.value,
        "reason": job.cause and job.cause.reason,
        "sentence": job.cause and job.cause.message,
        "started_at": text_of(job.started_at),
        "ended_at": text_of(job.ended_at),
        "exit_code": job.exit and job.exit.code,
        "exit_signal": job.exit and job.exit.signal,
        "logged": job.has_log,
        "settled": job.fully_delivered,
        "stderr_tail": job.stderr_tail,
        "invalid_line": job.invalid_line and json.dumps(attrs.asdict(job.invalid_line)),
        "warnings": json.dumps(job.warnings),
        "limited": json.dumps([attrs.astuple(span) for span in job.limited]),
        "cpu": job.cpu and msgspec.json.encode(job.cpu).decode(),
        "errors": json.dumps([structs.asdict(error) for error in job.errors]),
        "outputs": msgspec.json.encode(job.outputs).decode(),
        "verdict": job.verdict and msgspec.json.encode(job.verdict).decode(),
        **{f"calls_{name}": count for name, count in calls.items()},
        **results,
    }


def _members(job: Job) -> dict[str, Any]:
    """Return the optional members; the values of variables are secret and stay until the end."""
    members = dict(job.spec.members)
    if job.state.over and members.get("env"):
        members["env"] = dict.fromkeys(members["env"], "")
    return members


def read_job(row: sqlite3.Row) -> Job:
    """Read a job."""
    if min(value for value in tuple(row) if isinstance(value, int)) < 0:
        raise ValueError("a negative number")
    has_exit = row["exit_code"] is not None or row["exit_signal"] is not None
    line = row["invalid_line"]
    return Job(
        id=row["id"],
        spec=JobSpec(
            name=row["name"],
            users=row["users"],
            duration_seconds=row["duration_seconds"],
            binary=row["binary"],
            members=_object(row["members"]),
        ),
        queued_at=_time(row["queued_at"]),
        state=State(row["state"]),
        cause=FailureReason(row["reason"], row["sentence"]) if row["reason"] else None,
        started_at=_optional_time(row["started_at"]),
        ended_at=_optional_time(row["ended_at"]),
        exit=Exit(row["exit_code"], row["exit_signal"]) if has_exit else None,
        stderr_tail=row["stderr_tail"],
        invalid_line=InvalidLine(**json.loads(line)) if line else None,
        warnings=tuple(json.loads(row["warnings"])),
        limited=tuple(Span(*span) for span in json.loads(row["limited"])),
        cpu=None if row["cpu"] is None else msgspec.json.decode(row["cpu"], type=RunCpu),
        errors=tuple(ErrorSummary(**error) for error in json.loads(row["errors"])),
        verdict=row["verdict"] and msgspec.json.decode(row["verdict"], type=Verdict),
        has_log=bool(row["logged"]),
        calls=CallCounts(
            **{field.name: row[f"calls_{field.name}"] for field in attrs.fields(CallCounts)}
        ),
        lines=LineCounts(row["read"], row["invalid"]),
        checkpoint=Checkpoint(
            row["delivered"], row["rejected"], row["abandoned"], row["committed"]
        ),
        outputs=read_outputs(row["outputs"]),
    )


def text_of(time: datetime | None) -> str | None:
    """Return a time as in a column."""
    return time.isoformat() if time else None


def _optional_time(text: str | None) -> datetime | None:
    return _time(text) if text else None


def _object(text: str) -> dict[str, Any]:
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError("the members of a job are no object")
    return found


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError(f"the time {text} has no offset")
    return time
