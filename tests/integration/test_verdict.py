"""Verdicts of real runs: those in which little worked, crossed thresholds, and restarts."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
from peers.agent import Agent
from peers.programs import Builder
from twisted.internet import reactor, task

from goloagent.core.stats.run_stats import RunStatistics
from goloagent.results.parser import parse

LOAD_TEST = """
import itertools
from goloagent.sdk import report, serve
numbers = itertools.count()
def run():
    time.sleep(0.01)
    number = next(numbers)
    {body}
serve(run)
"""
ERRORS = 'report(method="GET", url="http://shop/", status=500, duration_seconds=0.01)'
HALF = """if number % 2:
        raise RuntimeError("connection refused")
    report(method="GET", url="http://shop/", status=200, duration_seconds=0.01)"""
PROSE = 'print("all is well", flush=True)'
FINE = 'report(method="GET", url="http://shop/", status=200, duration_seconds=0.01)'


@pytest.mark.parametrize(
    ("body", "load", "code", "parts"),
    [
        (ERRORS, None, "errors", ["results are errors (100.0%)", "http://shop/: status 500"]),
        (HALF, None, "calls-failed", ["calls failed (", "connection refused"]),
        (PROSE, None, "no-result", ["no valid result", "lines are no results"]),
        (FINE, {"stages": [{"rate": 0, "duration": 1}]}, "no-call", ["No call was made."]),
    ],
    ids=["errors", "half of the calls", "prose", "no call"],
)
async def test_a_run_in_which_little_worked(
    agent: Agent, script: Builder, body: str, load: Any, code: str, parts: list[str]
) -> None:
    """It has run to its end, and has failed without any threshold, for a reason that is named."""
    members = {"load": load} if load else {"duration": 1}
    job_id = await agent.queue("shop", script(LOAD_TEST.format(body=body)), **members)
    job = await agent.ended(job_id)
    verdict = job["verdict"]
    print(verdict["reason"])
    assert (job["state"], verdict["passed"], verdict["code"]) == ("finished", False, code)
    assert all(part in verdict["reason"] for part in parts), verdict


async def test_a_run_that_passes(agent: Agent, script: Builder) -> None:
    """Its checks have their figures."""
    thresholds = {"duration": ["p(95)<1m"], "undelivered": ["count==0"], "limited": ["count<60"]}
    job_id = await agent.queue(
        "shop", script(LOAD_TEST.format(body=FINE)), 1, thresholds=thresholds
    )
    job = await agent.settled(job_id)
    assert (job["verdict"]["passed"], job["verdict"]["reason"]) == (True, None), job["verdict"]
    assert job["verdict"]["checks"][0]["value"] == pytest.approx(0.01, rel=0.001)


async def test_a_crossed_threshold_ends_the_run(agent: Agent, script: Builder) -> None:
    """The run ends in order long before its time, and says which threshold it was."""
    aborting = {"threshold": "p(95)<5ms", "abort": True}
    job_id = await agent.queue(
        "shop", script(LOAD_TEST.format(body=FINE)), 600, thresholds={"duration": [aborting]}
    )
    job = await agent.ended(job_id)
    assert (job["state"], job["reason"]) == ("finished", "threshold"), job
    assert job["message"] == "Threshold duration: p(95)<5ms was crossed."
    assert (job["verdict"]["passed"], job["verdict"]["code"]) == (False, "threshold")
    assert job["calls"]["in_flight"] == 0
    timeline = (await agent.request("GET", f"/jobs/{job_id}/timeline")).json
    ended = max(window["at"] for window in timeline["windows"] if window["started"])
    print(f"T6: crossed from the first call on, the last call started in second {ended + 1:.0f}")
    assert ended < 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_a_restart_in_the_middle(
    agent: Agent, go_loadtest: Builder, number: signal.Signals
) -> None:
    """The verdict agrees with a recount of the log, and says what it does not know."""
    thresholds = {
        "results": ["count>10", "count<10"],
        "duration{status:200}": ["p(95)<1h"],
        "iteration": ["max<1h"],
        "iterations": ["count>10"],
        "schedule_lag": ["p(99)<1h"],
    }
    loadtest = go_loadtest("torrent", rate=1000)
    job_id = await agent.queue("shop", loadtest, load=LOAD, thresholds=thresholds)
    while (await agent.job(job_id))["calls"]["ok"] < 200:
        await task.deferLater(reactor, 0.05)
    if number is signal.SIGKILL:
        await agent.kill()
    else:
        await agent.stop()
    await agent.start()
    job = await agent.settled(job_id)
    verdict = job["verdict"]
    print(verdict)
    assert (job["state"], verdict["passed"]) == ("interrupted", False)
    assert verdict["code"] == job["reason"]
    statistics = recounted(agent.run_log(job_id, "shop"))
    values = [check["value"] for check in verdict["checks"]]
    assert values[0] == values[1] == statistics.results
    (p95,) = statistics.rotate_window(1).durations.quantiles(950)
    assert values[2] == pytest.approx(p95 / 1e9, rel=0.002)
    assert [check["passed"] for check in verdict["checks"][:3]] == [True, False, True]
    if number is signal.SIGKILL:
        assert values[4] <= job["calls"]["ok"] + job["calls"]["failed"]
        assert values[5] is None
        assert any("schedule_lag" in sentence for sentence in verdict["missing"])
    else:
        assert verdict["missing"] == []
        assert values[4] == job["calls"]["ok"] + job["calls"]["failed"]


LOAD = {"start": 200, "stages": [{"rate": 200, "duration": 600}]}


def recounted(log: Path) -> RunStatistics:
    """Return the statistics of all results in a log."""
    statistics = RunStatistics()
    statistics.add(parse(log.read_bytes()).results)
    return statistics
