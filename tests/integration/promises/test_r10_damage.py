"""R10: damaged state never prevents a start."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from peers.agent import Agent
from peers.collector import Collector
from peers.crashing import RESTORING
from peers.notes import Notes

RESULTS = 1000


def full(change: Callable[[Path], None]) -> object:
    """Leave a parameter out of `make test`."""
    return pytest.param(change, marks=pytest.mark.full)


def flip(path: Path) -> None:
    """Invert 2,000 bytes."""
    content = bytearray(path.read_bytes())
    for at in range(len(content) // 2, len(content) // 2 + 2000):
        content[at] ^= 0xFF
    path.write_bytes(content)


def cut(path: Path) -> None:
    """Remove the second half."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def zero(path: Path) -> None:
    """Overwrite it with zeros."""
    path.write_bytes(bytes(path.stat().st_size))


@pytest.mark.parametrize("damage", [flip, full(cut), full(zero)])
async def test_r10_a_damaged_database(
    agent: Agent, collector: Collector, numbered: Notes, damage: Callable[[Path], None]
) -> None:
    """The database is renamed, binaries and runs are restored, and pending results delivered."""
    binary = await agent.upload(numbered.script(count=RESULTS))
    sent = await agent.queue("sent", binary, duration=0)
    await agent.settled(sent)
    assert await agent.stop() == 0  # closes the connection that the collector has accepted
    await collector.close()
    await agent.start()
    pending = await agent.queue("pending", binary, duration=0)
    assert (await agent.ended(pending))["results"]["pending"] == RESULTS
    assert await agent.stop() == 0
    pushes = len(collector.of_job(sent))

    damage(agent.state / "golo-agent.sqlite")
    collector.open()
    await agent.start()
    health = (await agent.request("GET", "/health")).json
    aside = list(agent.state.glob("golo-agent.sqlite.damaged-*"))
    jobs = [await agent.settled(job_id) for job_id in (sent, pending)]
    print(f"R10: database {damage.__name__}: started, set aside {len(aside)}: {health['notices']}")
    assert len(aside) == 1
    assert "damaged" in health["notices"][0]
    assert "1 binaries and 2 runs, of which 1 have no account" in health["notices"][1]
    assert [job["reason"] for job in jobs] == ["state-lost", "state-lost"], jobs
    assert [job["results"]["delivered"] for job in jobs] == [RESULTS, RESULTS], jobs
    assert len(collector.of_job(sent)) == pushes, "what was delivered is sent again"
    again = await agent.settled(await agent.queue("again", binary, duration=0))
    assert again["state"] == "finished", again


@pytest.mark.parametrize("point", RESTORING)
async def test_r10_killed_while_it_restores(
    agent: Agent, collector: Collector, numbered: Notes, point: str
) -> None:
    """The next start restores the rest: all binaries and runs, each once."""
    binary = await agent.upload(numbered.script(count=RESULTS))
    jobs = [await agent.queue("found", binary, duration=0) for _ in range(3)]
    for job_id in jobs:
        await agent.settled(job_id)
    assert await agent.stop() == 0
    zero(agent.state / "golo-agent.sqlite")
    with pytest.raises(AssertionError, match="ended with -9"):
        await agent.start(crash_at=point)
    await agent.start()
    found = [await agent.settled(job_id) for job_id in jobs]
    print(f"R10: killed at {point}: {len(found)} runs and their binary found by the next start")
    assert [job["results"]["delivered"] for job in found] == [RESULTS] * len(jobs), found
    assert [len(collector.of_job(job_id)) for job_id in jobs] == [
        len({key for key, _ in collector.of_job(job_id)}) for job_id in jobs
    ]
    again = await agent.settled(await agent.queue("again", binary, duration=0))
    assert again["state"] == "finished", again
    assert await agent.stop() == 0
    await agent.start()
    assert (await agent.request("GET", "/health")).json["notices"] == []


def lose(path: Path) -> None:
    """Remove the database and its files."""
    for part in path.parent.glob(f"{path.name}*"):
        part.unlink()


def empty(path: Path) -> None:
    """Leave an empty file."""
    lose(path)
    path.touch()


def one_byte(path: Path) -> None:
    """Leave one byte."""
    lose(path)
    path.write_bytes(b"S")


def lose_rows(path: Path) -> None:
    """Empty the write-ahead log, which has the rows."""
    Path(f"{path}-wal").write_bytes(b"")


def lose_main(path: Path) -> None:
    """Leave only the write-ahead log."""
    path.unlink()


def restore_old(path: Path) -> None:
    """Restore a copy of the first start."""
    lose(path)
    shutil.copy(path.with_name("copy"), path)


@pytest.mark.parametrize(
    "loss", [lose, full(empty), full(one_byte), lose_rows, full(lose_main), restore_old]
)
async def test_r10_a_lost_or_old_database(
    agent: Agent, collector: Collector, numbered: Notes, loss: Callable[[Path], None]
) -> None:
    """All binaries and jobs are restored and reported; nothing is lost or sent twice."""
    database = agent.state / "golo-agent.sqlite"
    assert await agent.stop() == 0
    shutil.copy(database, database.with_name("copy"))
    await agent.start()
    binary = await agent.upload(numbered.script(count=RESULTS))
    sent = await agent.queue("sent", binary, duration=0)
    await agent.settled(sent)
    assert await agent.stop() == 0  # closes the connection that the collector has accepted
    await collector.close()
    await agent.start()
    pending = await agent.queue("pending", binary, duration=0)
    assert (await agent.ended(pending))["results"]["pending"] == RESULTS
    running = await agent.queue("running", binary, duration=600)
    await agent.reached(running, "running")
    waiting = await agent.queue("waiting", binary, duration=0)
    pushes = len(collector.of_job(sent))
    await agent.kill()

    loss(database)
    collector.open()
    await agent.start()
    notices = (await agent.request("GET", "/health")).json["notices"]
    print(f"R10: database {loss.__name__}: started: {notices}")
    if loss is not lose_rows:  # the stop has written some rows to the database itself
        assert "1 binaries and 3 runs" in notices[-1]
    assert "1 queued jobs" in notices[-1]
    jobs = {name: await agent.settled(job) for name, job in (("sent", sent), ("pending", pending))}
    assert [job["results"]["delivered"] for job in jobs.values()] == [RESULTS, RESULTS], jobs
    assert len(collector.of_job(sent)) == pushes, "what was delivered is sent again"
    assert (await agent.ended(running))["state"] == "interrupted"
    assert (await agent.settled(waiting))["state"] == "finished"


@pytest.mark.parametrize("damage", [flip, cut, full(zero)])
async def test_r10_a_damaged_log(
    agent: Agent, collector: Collector, numbered: Notes, damage: Callable[[Path], None]
) -> None:
    """The remaining results are delivered, and the lost ones reported."""
    await collector.close()
    job_id = await agent.queue("damaged", numbered.script(count=RESULTS), duration=0)
    await agent.ended(job_id)
    assert await agent.stop() == 0

    damage(agent.run_log(job_id, "damaged"))
    collector.open()
    await agent.start()
    health = (await agent.request("GET", "/health")).json
    job = await agent.settled(job_id)
    delivered = job["results"]["delivered"]
    print(
        f"R10: log {damage.__name__}: started, {delivered} of {RESULTS} left: {health['notices']}"
    )
    assert 0 <= delivered < RESULTS
    assert f"has {RESULTS - delivered} results fewer than were counted" in health["notices"][0]
