"""T3: the load is the requested one."""

from __future__ import annotations

from itertools import accumulate

import pytest
from peers.agent import Agent
from peers.programs import Builder

RATE = 5000
SECONDS = 5


@pytest.mark.full
async def test_t3_arrivals(agent: Agent, go_loadtest: Builder) -> None:
    """All arrivals are made, and none before it is due.

    How late they are depends on the host: ``python -m bench arrivals`` has targets for that.
    """
    stages = [{"rate": RATE, "duration": SECONDS}]
    load = {"start": RATE, "stages": stages, "max_in_flight": RATE * SECONDS}
    job_id = await agent.queue("crowd", go_loadtest("crowd"), load=load)
    job = await agent.ended(job_id)
    calls = job["calls"]
    assert (calls["scheduled"], calls["started"]) == (RATE * SECONDS, RATE * SECONDS), calls
    windows = (await agent.request("GET", f"/jobs/{job_id}/timeline")).json["windows"]
    ends = [one["at"] + one["seconds"] for one in windows]
    for end, scheduled in zip(ends, accumulate(one["scheduled"] for one in windows), strict=True):
        assert scheduled <= RATE * (end + 0.001) + 1
    stats = (await agent.request("GET", f"/jobs/{job_id}/stats")).json
    lag = stats["calls"]["schedule_lag"]["p99"]
    whole = [one for one in windows if one["at"] + one["seconds"] <= SECONDS]
    worst = max(abs(one["started"] / one["seconds"] / RATE - 1) for one in whole)
    print(f"T3: p99 of the schedule lag {lag * 1e3:.2f} ms, worst second {worst:.3%} off")
