"""The statistics of a run are next to its log after an ordered stop and after a kill."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hdrh.histogram import HdrHistogram
from msgspec.structs import replace
from peers.agent import Agent
from peers.programs import Builder

from goloagent.core.stats.summary import Summary
from goloagent.wal.run_log import open_reader
from goloagent.wal.stats_cache import rebuild
from goloagent.wal.stats_file import STATS, load_statistics


def _stored_and_rebuilt(out_log: Path) -> tuple[Summary, Summary]:
    """Return the stored statistics, and those computed from the log with the stored calls."""
    run = out_log.parent
    logs, name, job_id = run.parents[1], run.parent.name, run.name
    log = open_reader(logs, name, job_id)
    try:
        rebuilt = rebuild(log.read).summary(encoded=True)
    finally:
        log.close()
    stored = load_statistics(logs, name, job_id)
    assert stored is not None
    return stored, replace(rebuilt, calls=stored.calls, failed_calls=stored.failed_calls)


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
    assert kept.calls.iteration is not None
    assert kept.calls.iteration.decoded().count == job["calls"]["ok"]
    assert kept.calls.service == kept.calls.iteration
    assert kept.first is not None
    assert kept.last is not None
    assert kept.rate == pytest.approx(900 / (kept.last - kept.first).total_seconds())


async def test_the_statistics_of_an_interrupted_run(agent: Agent, go_loadtest: Builder) -> None:
    """After a kill the next start computes them from the log."""
    job_id = await agent.queue("killed", go_loadtest("counter", count=100_000), duration=60)
    await agent.reached(job_id, "running")
    while not (await agent.request("GET", f"/jobs/{job_id}/timeline")).json["windows"]:
        pass
    await agent.kill()
    await agent.start()
    job = await agent.settled(job_id)
    assert job["state"] == "interrupted"
    kept, made_again = _stored_and_rebuilt(agent.run_log(job_id, "killed"))
    assert kept == made_again
    assert kept.results == job["results"]["valid"]
    response = await agent.request("GET", f"/jobs/{job_id}/stats?histograms=hdr")
    calls = response.json["calls"]
    assert (calls["service"], calls["schedule_lag"]) == (None, None)
    timed = HdrHistogram.decode(calls["iteration"]["histogram"]).get_total_count()
    assert 0 < timed <= job["calls"]["ok"]  # the timeline may lack the last second


async def test_the_statistics_of_a_stopped_run(agent: Agent, go_loadtest: Builder) -> None:
    """After SIGTERM in the middle they agree with the log, and have the times of all calls."""
    job_id = await agent.queue("stopped", go_loadtest("counter", count=100_000), duration=60)
    await agent.reached(job_id, "running")
    while not (await agent.request("GET", f"/jobs/{job_id}/timeline")).json["windows"]:
        pass
    await agent.stop()
    kept, made_again = _stored_and_rebuilt(agent.run_log(job_id, "stopped"))
    assert kept == made_again
    await agent.start()
    job = await agent.settled(job_id)
    calls = job["calls"]
    assert kept.calls.iteration is not None
    assert kept.calls.iteration.decoded().count == calls["ok"] + calls["failed"] > 0


async def test_histograms_and_errors_over_http(agent: Agent, go_loadtest: Builder) -> None:
    """They are those of a recount, while the job runs, at its end, and if the file is lost."""
    refusing = await agent.queue(
        "refused", go_loadtest("counter", count=1, refuse="sold_out"), duration=1
    )
    job_id = await agent.queue("counted", go_loadtest("counter", count=500), duration=2)
    job = await agent.settled(refusing)
    failed = job["calls"]["failed"]
    reason = {"method": "", "url": "", "status": 0, "message": "sold_out", "count": failed}
    assert job["errors"] == [reason]
    stats = (await agent.request("GET", f"/jobs/{refusing}/stats")).json
    assert (stats["errors_by_reason"], stats["failed_calls"]) == ([reason], failed)
    (agent.run_log(refusing, "refused").parent / STATS).unlink()
    stats = (await agent.request("GET", f"/jobs/{refusing}/stats")).json
    assert (stats["errors_by_reason"], stats["failed_calls"]) == ([reason], failed)

    async def shown() -> dict[str, Any]:
        return (await agent.request("GET", f"/jobs/{job_id}/stats?histograms=hdr")).json

    await agent.reached(job_id, "running")
    while (await agent.job(job_id))["results"]["valid"] < 500:
        pass
    live = await shown()
    assert HdrHistogram.decode(live["latency"]["histogram"]).get_total_count() == 500
    await agent.settled(job_id)
    over = await shown()
    same = ("results", "errors", "bytes", "latency", "rows", "urls", "first", "last", "rate")
    assert {name: live[name] for name in same} == {name: over[name] for name in same}
    found = HdrHistogram.decode(over["rows"][0]["latency"]["histogram"])
    assert found.get_value_at_percentile(99) == pytest.approx(1_500_000, rel=0.001)
    hgrm = await agent.request("GET", f"/jobs/{job_id}/stats.hgrm?metric=iteration")
    timed = HdrHistogram.decode(over["calls"]["iteration"]["histogram"]).get_total_count()
    assert f"Total count    = {timed:12d}]" in hgrm.text
