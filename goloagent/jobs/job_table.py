"""The jobs in the database. Settled jobs, over and fully delivered, are read from their rows.

Each other job is live: one object in memory that every caller gets, and that `save` writes.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import attrs

from goloagent.jobs.job import Job, State
from goloagent.jobs.rows import SettledRun, job_row, read_job, read_settled_run, text_of
from goloagent.jobs.sqlite_file import SqliteFile, where

# An agent of a version without outputs settles a job when the collector has all its results.
_LIVE = """
SELECT * FROM jobs WHERE NOT settled
UNION ALL
SELECT * FROM jobs WHERE settled AND logged AND outputs != '{}' AND EXISTS (
    SELECT 1 FROM json_each(CASE WHEN json_valid(outputs) THEN outputs ELSE '{}' END) AS one
    WHERE one.type = 'object' AND (
        json_extract(one.value, '$.delivered') + json_extract(one.value, '$.rejected')
        + json_extract(one.value, '$.abandoned') < jobs.read - jobs.invalid
        OR json_extract(one.value, '$.unit') = 'second'
        AND NOT json_extract(one.value, '$.finished')))
ORDER BY position
"""


@attrs.frozen
class JobFilter:
    """Which jobs to list: those in a state, with a name, with names that start alike, of a run."""

    state: State | None = None
    name: str | None = None
    name_prefix: str | None = None
    run: str | None = None

    def conditions(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the conditions for `where`, and the values of their parameters."""
        state = self.state and self.state.value
        prefix = self.name_prefix or None
        values = {
            "state": state,
            "name": self.name,
            "prefix": prefix,
            "last": chr(sys.maxunicode),
            "run": self.run,
        }
        conditions = {
            "state = :state": state,
            "name = :name": self.name,
            "name >= :prefix AND name < :prefix || :last": prefix,
            # A damaged row has no run.
            "json_valid(members) AND json_extract(members, '$.run.id') = :run": self.run,
        }
        return conditions, values


class JobTable(SqliteFile):
    """The rows of the table ``jobs``."""

    def _load(self) -> None:
        super()._load()
        # The row saved last, because the next save of that job changes few of its columns.
        self._saved: dict[str, Any] = {}
        rows = self._database.execute(_LIVE)
        self._live = {job.id: job for job in self._readable(rows, read_job)}
        self._states = {job.id: job.state for job in self._live.values()}
        states = self._database.execute("SELECT state, COUNT(*) FROM jobs GROUP BY state")
        known = {state.value for state in State}
        self._counts = Counter({State(state): count for state, count in states if state in known})

    def job_ids(self) -> set[str]:
        """Return the ids of all jobs."""
        return self._ids("jobs")

    def needed_binaries(self) -> set[str]:
        """Return the ids of the binaries of the jobs that are not over."""
        return {
            binary
            for job in self._live.values()
            if not job.state.over
            for binary in job.spec.binaries
        }

    def add(self, job: Job) -> None:
        """Add a job at the end of the queue."""
        self._insert("jobs", job_row(job))
        self._live[job.id] = job
        self._states[job.id] = job.state
        self._counts[job.state] += 1

    def save(self, job: Job) -> None:
        """Save a live job; one that is fully delivered is live no longer."""
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
        """Return the job with this id, or None."""
        if job_id in self._live:
            return self._live[job_id]
        return self._first("SELECT * FROM jobs WHERE id = :id", {"id": job_id}, read_job)

    def newest(
        self,
        limit: int,
        matching: JobFilter | None = None,
        before: str | None = None,
        offset: int = 0,
    ) -> list[Job]:
        """Return up to `limit` jobs after `offset` that are older than `before`, newest first."""
        conditions, values = (matching or JobFilter()).conditions()
        conditions["position < (SELECT position FROM jobs WHERE id = :before)"] = before
        values |= {"before": before, "offset": offset}
        query = f"SELECT * FROM jobs {where(conditions)} ORDER BY position DESC"
        query += " LIMIT -1 OFFSET :offset" if offset else ""
        return self._some(
            query, values, lambda row: self._live.get(row["id"]) or read_job(row), limit
        )

    def count_matching(self, matching: JobFilter) -> int:
        """Return the number of jobs that match."""
        if matching == JobFilter():
            return sum(self._counts.values())
        conditions, values = matching.conditions()
        query = f"SELECT COUNT(*) AS number FROM jobs {where(conditions)}"
        return self._first(query, values, lambda row: int(row["number"])) or 0

    def count(self) -> dict[State, int]:
        """Return the number of jobs in each state that occurs. Reads no row."""
        return {state: count for state, count in self._counts.items() if count}

    def queued(self) -> list[Job]:
        """Return the queued jobs in order."""
        return [job for job in self._live.values() if job.state is State.QUEUED]

    def unsettled(self) -> Iterator[Job]:
        """Yield the live jobs in order."""
        return iter(list(self._live.values()))

    def settled_runs(self, limit: int = -1, after: SettledRun | None = None) -> list[SettledRun]:
        """Return up to `limit` settled jobs with a log that ended after `after`, oldest first."""
        conditions = {"settled AND logged": True, "(ended_at, id) > (:ended_at, :id)": after}
        values = {
            "ended_at": after and text_of(after.ended_at),
            "id": after and after.job_id,
        }
        query = f"SELECT id, name, ended_at FROM jobs {where(conditions)} ORDER BY ended_at, id"
        return self._some(query, values, read_settled_run, limit)

    def forget_log(self, job_id: str) -> None:
        """Save that the log of a settled job was removed."""
        if not self._frozen:
            self._write("UPDATE jobs SET logged = 0 WHERE id = :id AND settled", {"id": job_id})

    def forget_jobs(self, keep: int, limit: int) -> int:
        """Remove up to `limit` of the oldest settled jobs without a log; return the number.

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
