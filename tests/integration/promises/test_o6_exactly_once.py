"""O6: PostgreSQL has each result once, and Kafka repeats that can be recognised."""

from __future__ import annotations

import json
import random
from collections.abc import Callable

from peers.agent import Agent
from peers.kafka import Tansu
from peers.lines import select
from peers.notes import Notes
from peers.postgresql import PostgreSQL
from twisted.internet import reactor, task

LINES_PER_SECOND = 5_000
ENDED_SESSIONS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'golo'"


async def test_o6_kills_of_the_agent_and_of_the_database(
    idle_agent: Agent, numbered: Notes, database: PostgreSQL, broker: Tansu, soak: bool
) -> None:
    """The agent and the database are killed repeatedly while results are delivered."""
    agent, kills, seed = idle_agent, 40 if soak else 6, random.randrange(10**6)
    moments = random.Random(seed)
    agent.more = (
        *("--output", f"pg={database.url}?timeout=5s"),
        *("--output", f"kafka={broker.url()}?timeout=5s"),
    )
    await agent.start()
    binary = await agent.upload(numbered.script(count=-1, rate=LINES_PER_SECOND))

    def restart() -> None:
        database.kill()
        database.start()

    troubles: list[Callable[[], object]] = [
        lambda: None,
        restart,
        lambda: database.query(ENDED_SESSIONS),
    ]
    for number in range(kills):
        if not agent.running:
            await agent.start()
        await agent.queue("killed", binary, duration=600)
        await task.deferLater(reactor, moments.uniform(0.3, 2))
        troubles[number % len(troubles)]()
        await task.deferLater(reactor, moments.uniform(0, 0.3))
        await agent.kill()
    await agent.start()
    jobs = [await agent.complete(job_id) for job_id in agent.jobs]

    messages = broker.read()
    total = repeated = 0
    for job in jobs:
        log = agent.run_log(job["id"], "killed").read_bytes()
        lines = [line for line in select(log + b"\n" * (not log.endswith(b"\n"))) if line]
        assert len(lines) == job["results"]["valid"]
        for account in job["outputs"].values():
            assert account["delivered"] == len(lines), job
        rows = database.query(
            "SELECT ordinal, sequence_id, url, duration FROM golo_results WHERE job = %s"
            " ORDER BY ordinal",
            job["id"],
        )
        printed = [json.loads(line) for line in lines]
        assert rows == [
            (ordinal, one.get("sequenceID"), one.get("url"), one.get("duration"))
            for ordinal, one in enumerate(printed)
        ]
        own = [one for one in messages if one.key == job["id"].encode()]
        found: dict[int, bytes] = {}
        for message in own:
            assert found.setdefault(message.ordinal, message.value) == message.value
        assert sorted(found) == list(range(len(lines)))
        for ordinal, line in enumerate(lines):
            assert found[ordinal].endswith(b'"result":%b}' % line)
        total += len(lines)
        repeated += len(own) - len(found)
    assert len(jobs) == kills
    assert database.query("SELECT count(*), count(DISTINCT (job, ordinal)) FROM golo_results") == [
        (total, total)
    ]
    print(
        f"O6: {kills} kills of the agent, {kills // 3} of PostgreSQL (seed {seed}): "
        f"{total} results in out.log, in PostgreSQL {total}, each once; "
        f"in Kafka all, {repeated} repeats, each with the key, ordinal and value of its original"
    )
