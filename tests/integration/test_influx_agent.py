"""An agent with InfluxDB as output: complete, without a repeat, through kills and outages."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_twisted
from peers.agent import Agent
from peers.influxdb import PASSWORD, USER, InfluxDb
from peers.notes import Notes
from twisted.internet import reactor, task

LINES_PER_SECOND = 5_000
NAME = "shop"


@pytest_twisted.async_yield_fixture
async def database(tmp_path: Path) -> AsyncIterator[InfluxDb]:
    """Run a database that requires a password."""
    directory = tmp_path / "influxdb"
    directory.mkdir()
    database = InfluxDb(directory, authenticated=True)
    await database.ready()
    yield database
    await database.stop()


def add_outputs(agent: Agent, database: InfluxDb, tmp_path: Path, more: str = "") -> None:
    """Give an agent outputs of results and of the timeline."""
    password = tmp_path / "password"
    password.write_text(f"{USER}:{PASSWORD}\n")
    url = f"influx+{database.url}?database={database.database}&password-file={password}{more}"
    agent.more += ("--output", f"points={url}", "--output", f"seconds={url}&unit=second")


async def stored(database: InfluxDb, job_id: str) -> list[int]:
    """Return the numbers of the results of a job, one for each point."""
    rows = await database.query(f"SELECT sequence_id FROM golo_results WHERE job = '{job_id}'")
    return sorted(int(row["sequence_id"]) for row in rows)


def printed(agent: Agent, job_id: str) -> list[int]:
    """Return the numbers of the results in a job's log."""
    text = agent.run_log(job_id, NAME).read_bytes()
    lines = [line for line in text.split(b"\n")[:-1] if line.endswith(b"}")]
    return [int(line.split(b'"', 4)[3]) for line in lines]


async def run_until_stored(agent: Agent, database: InfluxDb, binary: str) -> str:
    """Start a job, and return its ID when the database has results of more than a second."""
    job_id = await agent.queue(NAME, binary, duration=600, tags={"release": "1.4.2"})
    count = f"SELECT count(size) FROM golo_results WHERE job = '{job_id}'"
    for _ in range(600):
        if (await database.value(count) or 0) > LINES_PER_SECOND:
            return job_id
        await task.deferLater(reactor, 0.1)
    raise AssertionError(agent.log[-2000:])


async def test_a_killed_agent_and_an_outage_lose_and_repeat_nothing(
    idle_agent: Agent, database: InfluxDb, numbered: Notes, tmp_path: Path
) -> None:
    """The points of a job are those of its log, after kills of the agent and of the database."""
    agent = idle_agent
    add_outputs(agent, database, tmp_path)
    await agent.start()
    binary = await agent.upload(numbered.script(count=-1, rate=LINES_PER_SECOND))
    jobs = [await run_until_stored(agent, database, binary)]
    await agent.kill()
    await agent.start()
    jobs.append(await run_until_stored(agent, database, binary))
    await database.stop()
    await agent.logged("delivery is retrying")
    await agent.kill()
    await agent.start()
    await database.start_again()
    for job_id in jobs:
        await agent.ended(job_id)
        expected = printed(agent, job_id)
        assert len(expected) > LINES_PER_SECOND
        for query in ("count(size) FROM golo_results", "sum(results) FROM golo_seconds"):
            await database.reached(f"SELECT {query} WHERE job = '{job_id}'", len(expected))
        assert await stored(database, job_id) == expected
        outputs = (await agent.complete(job_id))["outputs"]
        for name in ("points", "seconds"):
            assert outputs[name]["delivered"] == len(expected)


async def test_percentiles_after_a_database_that_did_not_answer_in_time(
    idle_agent: Agent, database: InfluxDb, go_loadtest: Callable[..., Path], tmp_path: Path
) -> None:
    """Batches that were stored after their time-out are stored once, and percentiles agree."""
    agent = idle_agent
    add_outputs(agent, database, tmp_path, "&timeout=1s")
    await agent.start()
    job_id = await agent.queue(NAME, go_loadtest("shop"), duration=8, users=32)
    results = f"golo_results WHERE job = '{job_id}'"
    for _ in range(600):
        if await database.value(f"SELECT count(size) FROM {results}"):
            break
        await task.deferLater(reactor, 0.1)
    database.suspend()
    outcome = b""
    for _ in range(600):
        outcome = (await agent.request("GET", f"/jobs/{job_id}")).text.encode()
        if b"no answer within 1 s" in outcome:
            break
        await task.deferLater(reactor, 0.1)
    assert b"no answer within 1 s" in outcome
    database.resume()
    job = await agent.ended(job_id)
    count = job["results"]["valid"]
    await database.reached(f"SELECT count(size) FROM {results}", count)
    outputs = (await agent.complete(job_id))["outputs"]
    assert [outputs[name]["delivered"] for name in ("points", "seconds")] == [count, count]
    assert await database.value(f"SELECT count(size) FROM {results}") == count
    stats = (await agent.request("GET", f"/jobs/{job_id}/stats")).json
    for percentile in (50, 95, 99):
        query = f'SELECT percentile("duration", {percentile}) FROM {results}'
        ours = stats["latency"][f"p{percentile}"]
        assert await database.value(query) == pytest.approx(ours, rel=0.002)


async def test_a_password_over_a_network_without_tls(idle_agent: Agent, tmp_path: Path) -> None:
    """The agent warns at the start, as for the token of the collector."""
    (tmp_path / "password").write_text("me:secret")
    url = f"influx+http://192.0.2.1:8086?database=golo&password-file={tmp_path / 'password'}"
    idle_agent.more += ("--output", f"points={url}")
    await idle_agent.start()
    await idle_agent.logged("192.0.2.1:8086: the password is sent unencrypted; use https://")
    assert "me:secret" not in idle_agent.log
