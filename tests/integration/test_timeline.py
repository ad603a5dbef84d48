"""The timeline of real runs: it adds up, is read by other tools, and survives the agent's end."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader
from peers.agent import Agent
from peers.programs import Builder
from peers.target import Target
from peers.timeline import windows_of

COUNTS = {"started": "started", "ok": "succeeded", "failed": "failed", "dropped": "dropped"}


async def get(agent: Agent, job_id: str, path: str = "timeline") -> Any:
    """Return a timeline."""
    answer = await agent.request("GET", f"/jobs/{job_id}/{path}")
    assert answer.status == 200, answer
    return answer.json if path == "timeline" else answer.text


def check_sums(job: dict[str, Any], windows: list[dict[str, Any]], killed: bool = False) -> None:
    """Check that the windows follow each other, and have all calls of a job that was not killed."""
    end = 0.0
    for window in windows:
        assert window["at"] == pytest.approx(end, abs=0.002)
        assert window["scheduled"] == window["started"] + window["dropped"]
        end = window["at"] + window["seconds"]
    for count, name in COUNTS.items():
        counted = sum(window[name] for window in windows)
        assert counted <= job["calls"][count]
        assert killed or counted == job["calls"][count]


def count_hlog(text: str, directory: Path) -> int:
    """Return how many values HdrHistogram's reader finds."""
    log = directory / "stats.hlog"
    log.write_text(text)
    reader, count = HistogramLogReader(str(log), HdrHistogram(1, 2**63 - 1, 3)), 0
    while (interval := reader.get_next_interval_histogram()) is not None:
        count += interval.get_total_count()
    return count


async def test_a_finished_run(
    agent: Agent, target: Target, go_loadtest: Builder, tmp_path: Path
) -> None:
    """All calls and results are in its windows, in each format, also after a restart."""
    job_id = await agent.queue("shop", go_loadtest("httpget", target=target.url), duration=3)
    await windows_of(agent, job_id, 1)
    job = await agent.settled(job_id)
    timeline = await get(agent, job_id)
    assert (timeline["complete"], timeline["missing"]) == (True, [])
    windows = timeline["windows"]
    check_sums(job, windows)
    assert job["results"]["valid"] == sum(window["results"] for window in windows) > 0
    assert all(window["planned"] == 25 for window in windows[:2])
    rows = list(csv.DictReader(io.StringIO(await get(agent, job_id, "timeline.csv"), newline="")))
    assert [int(row["results"]) for row in rows] == [window["results"] for window in windows]
    hlog = await get(agent, job_id, "stats.hlog")
    assert count_hlog(hlog, tmp_path) == job["results"]["valid"]
    calls = await get(agent, job_id, "stats.hlog?metric=iteration")
    assert count_hlog(calls, tmp_path) == job["calls"]["ok"] + job["calls"]["failed"]
    assert await agent.stop() == 0
    await agent.start()
    assert await get(agent, job_id) == timeline


async def test_a_kill(agent: Agent, target: Target, go_loadtest: Builder) -> None:
    """The windows up to the last second stay, and the timeline says what is missing."""
    job_id = await agent.queue("shop", go_loadtest("httpget", target=target.url), duration=60)
    before = await windows_of(agent, job_id, 2)
    await agent.kill()
    await agent.start()
    job = await agent.settled(job_id)
    assert job["reason"] == "agent-restart"
    timeline = await get(agent, job_id)
    windows = timeline["windows"]
    assert windows[: len(before)] == before
    check_sums(job, windows, killed=True)
    counted = sum(window["results"] for window in windows)
    unseen = job["results"]["valid"] - counted
    assert unseen >= 0
    assert timeline["complete"] is False
    end = windows[-1]["at"] + windows[-1]["seconds"]
    assert timeline["missing"] == [
        f"The timeline ends after {end:g} s: the agent was killed, or its disk was full.",
        *([f"{unseen} results in out.log are in no window."] if unseen else []),
    ]


async def test_a_stop(agent: Agent, target: Target, go_loadtest: Builder) -> None:
    """A run that the agent ends in order has a complete timeline."""
    job_id = await agent.queue("shop", go_loadtest("httpget", target=target.url), duration=60)
    await windows_of(agent, job_id, 2)
    assert await agent.stop() == 0
    await agent.start()
    job = await agent.settled(job_id)
    assert job["reason"] == "agent-stopped"
    timeline = await get(agent, job_id)
    assert (timeline["complete"], timeline["missing"]) == (True, [])
    check_sums(job, timeline["windows"])


async def test_a_damaged_file(agent: Agent, go_loadtest: Builder) -> None:
    """It is served up to the damage, and nothing else is affected."""
    job_id = await agent.queue("shop", go_loadtest("crowd"), duration=2)
    await agent.settled(job_id)
    file = agent.run_log(job_id, "shop", "timeline.jsonl")
    first, second, *_ = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(first + second + b"\0" * 5000)
    timeline = await get(agent, job_id)
    assert len(timeline["windows"]) == 1
    assert timeline["complete"] is False
    file.unlink()
    answer = await agent.request(
        "GET", f"/jobs/{job_id}/timeline", headers={"Accept": "application/json"}
    )
    assert answer.status == 404
    assert "has no timeline" in json.loads(answer.text)["detail"]
