"""R10: the state directory of version 0.1.0 is recovered: no job, binary or result is lost."""

from __future__ import annotations

import hashlib
import sqlite3
from datetime import datetime, timezone
from pathlib import Path

from peers.agent import Agent
from peers.collector import Collector
from peers.notes import Notes

SCHEMA = """
CREATE TABLE binaries (
    id          TEXT PRIMARY KEY,
    sha256      TEXT NOT NULL,
    size        INTEGER NOT NULL,
    uploaded_at TEXT NOT NULL
) STRICT;
CREATE TABLE jobs (
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
CREATE INDEX binaries_by_content ON binaries (sha256, size);
CREATE INDEX jobs_by_state ON jobs (state, position);
CREATE INDEX jobs_by_name ON jobs (name, position);
CREATE INDEX jobs_unsettled ON jobs (position) WHERE NOT settled;
ALTER TABLE jobs ADD COLUMN stderr_tail TEXT NOT NULL DEFAULT '';
PRAGMA user_version = 1;
PRAGMA journal_mode = WAL;
"""
# Too recent for retention.
NOW = datetime.now(timezone.utc).isoformat()
BINARIES = [f"6c2f3a86-0000-4000-8000-00000000000{number}" for number in range(2)]
SETTLED, PENDING, RUNNING, QUEUED = (
    f"8d1a0b52-0000-4000-8000-00000000000{number}" for number in range(4)
)
RESULT = b'{"timestamp":"2026-01-02T03:04:05Z"}\n'


class FirstVersion:
    """The directories of an agent of version 0.1.0."""

    def __init__(self, agent: Agent, program: bytes) -> None:
        self._logs = agent.logs
        for directory in ("binaries", "incoming", "work"):
            (agent.state / directory).mkdir(mode=0o700, parents=True)
        first, second = (agent.state / "binaries" / binary for binary in BINARIES)
        first.write_bytes(program)
        first.chmod(0o555)
        second.hardlink_to(first)
        (agent.state / "incoming" / "9e0c7d31-0000-4000-8000-000000000000").write_bytes(b"#!")
        self.database = sqlite3.connect(agent.state / "golo-agent.sqlite")
        self.database.executescript(SCHEMA)
        sha256 = hashlib.sha256(program).hexdigest()
        rows = [(binary, sha256, len(program), NOW) for binary in BINARIES]
        self.database.executemany("INSERT INTO binaries VALUES (?, ?, ?, ?)", rows)

    def job(self, job_id: str, state: str, printed: int = 0, **columns: object) -> None:
        """Create a job with this many results, with a log if it has run."""
        has_run = state != "queued"
        row = {
            **{"id": job_id, "name": "shop", "users": 1, "duration_seconds": 0},
            **{"binary": BINARIES[1], "queued_at": NOW, "state": state, "logged": has_run},
            **dict.fromkeys(("calls_started", "calls_ok", "calls_failed"), 0),
            **dict.fromkeys(("read", "invalid", "delivered", "rejected", "committed"), 0),
            "settled": False,
            **columns,
        }
        names, values = ", ".join(row), ", ".join(f":{name}" for name in row)
        with self.database:
            self.database.execute(f"INSERT INTO jobs ({names}) VALUES ({values})", row)
        if not has_run:
            return
        run = self._logs / "shop" / job_id
        run.mkdir(mode=0o750, parents=True)
        (run / "out.log").write_bytes(RESULT * printed)
        (run / "err.log").write_bytes(b"")
        for file in ("out.log", "err.log"):
            link: Path = self._logs / "shop" / file
            link.unlink(missing_ok=True)
            link.symlink_to(f"{job_id}/{file}")


async def test_a_state_directory_of_0_1_0(
    idle_agent: Agent, collector: Collector, numbered: Notes
) -> None:
    """Pending results are sent, delivered ones are not, and the queued job runs."""
    agent, few = idle_agent, len(RESULT)
    agent.jobs += [SETTLED, PENDING, RUNNING, QUEUED]
    left = FirstVersion(agent, numbered.script(count=20).read_bytes())
    ended = {"started_at": NOW, "ended_at": NOW, "exit_code": 0}
    over = {"read": 2, "rejected": 2, "committed": 2 * few, "settled": True}
    left.job(SETTLED, "finished", printed=2, **ended, **over)
    rest = {"read": 10, "rejected": 3, "committed": 3 * few}
    left.job(PENDING, "finished", printed=10, **ended, **rest)
    left.job(RUNNING, "running", printed=5, started_at=NOW, read=4)
    left.job(QUEUED, "queued")
    left.database.close()

    await agent.start()
    settled, pending, running, queued = [await agent.settled(job_id) for job_id in agent.jobs]
    assert (await agent.request("GET", "/health")).json["notices"] == []
    assert settled["cpu"] is None
    assert settled["results"] == settled["results"] | {"rejected": 2, "delivered": 0}
    assert pending["results"] == pending["results"] | {"rejected": 3, "delivered": 7}
    assert (running["state"], running["reason"]) == ("interrupted", "agent-restart")
    assert running["results"]["delivered"] == 5
    assert (queued["state"], queued["results"]["delivered"]) == ("finished", 20)
    listed = (await agent.request("GET", "/binaries")).json["binaries"]
    assert {binary["id"] for binary in listed} == {*BINARIES}
    assert list((agent.state / "incoming").iterdir()) == []
    assert collector.of_job(SETTLED) == []
