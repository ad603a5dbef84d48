"""The statistics of a run are next to its log after an ordered stop and after a kill."""

from __future__ import annotations

from pathlib import Path

from peers.agent import Agent
from peers.programs import Builder

from goloagent.core.stats.summary import Summary
from goloagent.wal.run_log import open_reader
from goloagent.wal.stats_cache import rebuild
from goloagent.wal.stats_file import load_statistics


def _stored_and_rebuilt(out_log: Path) -> tuple[Summary | None, Summary]:
    """Return the stored statistics, and those computed from the log."""
    run = out_log.parent
    logs, name, job_id = run.parents[1], run.parent.name, run.name
    log = open_reader(logs, name, job_id)
    try:
        return load_statistics(logs, name, job_id), rebuild(log.read).summary()
    finally:
        log.close()


async def test_the_statistics_of_a_run(agent: Agent, go_loadtest: Builder) -> None:
    """After a stop of the agent they exist and agree with the log."""
    job_id = await agent.queue(
        "spoilt", go_loadtest("counter", count=1000, spoil="yes"), duration=1
    )
    job = await agent.settled(job_id)
    await agent.stop()
    kept, made_again = _stored_and_rebuilt(agent.run_log(job_id, "spoilt"))
    assert kept == made_again
    assert kept.results == job["results"]["valid"] == 900
    assert sum(row.results for row in kept.rows) == 900


async def test_the_statistics_of_an_interrupted_run(agent: Agent, go_loadtest: Builder) -> None:
    """After a kill the next start computes them from the log."""
    job_id = await agent.queue("killed", go_loadtest("counter", count=100_000), duration=60)
    await agent.reached(job_id, "running")
    await agent.kill()
    await agent.start()
    job = await agent.settled(job_id)
    assert job["state"] == "interrupted"
    kept, made_again = _stored_and_rebuilt(agent.run_log(job_id, "killed"))
    assert kept == made_again
    assert kept.results == job["results"]["valid"]
