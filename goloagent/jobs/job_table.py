"""The jobs in the database. Settled jobs, over and fully delivered, are read from their rows.

Each other job is live: one object in memory that every caller gets, and that `save` writes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from goloagent.jobs.job import Job, State
from goloagent.jobs.rows import SettledRun, job_row, read_job, read_settled_run, text_of
from goloagent.jobs.sqlite_file import SqliteFile, where


class JobTable(SqliteFile):
    """The rows of the table ``jobs``."""

    def _load(self) -> None:
        super()._load()
        # The row saved last, because the next save of that job changes few of its columns.
        self._saved: dict[str, Any] = {}
        rows = self._database.execute("SELECT * FROM jobs WHERE NOT settled ORDER BY position")
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
        return {job.spec.binary for job in self._live.values() if not job.state.over}

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
        self, limit: int, state: State | None, name: str | None, before: str | None
    ) -> list[Job]:
        """Return up to `limit` jobs older than the job `before`, newest first."""
        conditions = {
            "state = :state": state and state.value,
            "name = :name": name,
            "position < (SELECT position FROM jobs WHERE id = :before)": before,
        }
        values = {"state": state and state.value, "name": name, "before": before}
        query = f"SELECT * FROM jobs {where(conditions)} ORDER BY position DESC"
        return self._some(
            query, values, lambda row: self._live.get(row["id"]) or read_job(row), limit
        )

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
