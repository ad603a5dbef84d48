"""R13: nothing is lost silently: the audit after every test detects each wrong count."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

import attrs
from peers.agent import Agent
from peers.audit import audit
from peers.collector import Batch, Collector
from peers.notes import Notes

RESULTS = 1000

FALSIFICATIONS = {
    "a line too many": "read = read + 1",
    "a delivered result for an invalid line": "invalid = invalid + 1, delivered = delivered - 1",
    "a result that is pending without end": "delivered = delivered - 1",
    "a result delivered twice": "delivered = delivered + 1",
    "a rejection that was none": "delivered = delivered - 1, rejected = rejected + 1",
    "a commit that runs ahead": "read = read + 1, delivered = delivered + 1",
    "a commit that lags": "committed = committed / 2",
}


async def test_r13_the_audit_fails_when_it_should(
    agent: Agent, collector: Collector, numbered: Notes
) -> None:
    """The audit reports falsified counts and lost or altered batches, and accepts correct ones."""
    job_id = await agent.queue("audited", numbered.script(count=RESULTS, spoil=True), duration=0)
    await agent.settled(job_id)
    assert await agent.stop() == 0
    assert audit(agent.state, agent.logs, collector.pushes) == []

    unseen = []
    database = sqlite3.connect(agent.state / "golo-agent.sqlite", isolation_level=None)
    for what, change in FALSIFICATIONS.items():
        row = database.execute("SELECT * FROM jobs").fetchone()
        database.execute(f"UPDATE jobs SET {change}")
        if not audit(agent.state, agent.logs, collector.pushes):
            unseen.append(what)
        database.execute("DELETE FROM jobs")
        database.execute(f"INSERT INTO jobs VALUES ({', '.join('?' * len(row))})", row)
    database.close()
    stray = agent.state / "binaries" / "stray"
    stray.touch()
    if not audit(agent.state, agent.logs, collector.pushes):
        unseen.append("a binary without a record")
    stray.unlink()
    alterations: dict[str, Callable[[list[Batch]], list[Batch]]] = {
        "a batch that never came": lambda batches: batches[1:],
        "a batch that was not taken": lambda batches: [
            attrs.evolve(batches[0], answer=503),
            *batches[1:],
        ],
        "a batch with other bytes": lambda batches: [
            attrs.evolve(batches[0], body=batches[0].body.replace(b"200", b"201", 1)),
            *batches[1:],
        ],
    }
    for what, alter in alterations.items():
        if not audit(agent.state, agent.logs, alter(collector.pushes)):
            unseen.append(what)
    count = len(FALSIFICATIONS) + 1 + len(alterations)
    print(f"R13: {count} wrong accounts, {len(unseen)} of them unseen: {unseen}")
    assert unseen == []
