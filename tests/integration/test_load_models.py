"""Load as it is meant: arrival rates, ramps and changes, with real Go load tests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from peers.agent import Agent
from peers.go_target import GoTarget
from peers.programs import Builder
from peers.target import Target
from twisted.internet import reactor, task

FREEZE_SECONDS = 2


@pytest.fixture
def go_target(go_loadtest: Builder) -> Iterator[GoTarget]:
    """Return a running target that can be frozen."""
    target = GoTarget(reactor, go_loadtest("target")).open()
    yield target
    target.close()


async def second(agent: Agent, job_id: str, at: int) -> list[dict[str, Any]]:
    """Return the timeline once it has the window that begins at a second."""
    while True:
        answer = await agent.request("GET", f"/jobs/{job_id}/timeline")
        windows = answer.json["windows"] if answer.status == 200 else []
        if windows and windows[-1]["at"] >= at:
            return windows
        await task.deferLater(reactor, 0.05)


async def finished(agent: Agent, job_id: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return a finished job and the windows of its timeline, which account for every call."""
    job = await agent.ended(job_id, timeout_seconds=90)
    assert job["state"] == "finished", job
    calls = job["calls"]
    assert calls["scheduled"] == calls["started"] + calls["dropped"]
    assert calls["in_flight"] == 0
    windows = (await agent.request("GET", f"/jobs/{job_id}/timeline")).json["windows"]
    for name in ("scheduled", "started", "dropped", "failed"):
        assert sum(window.get(name, 0) for window in windows) == calls[name], name
    return job, windows


@pytest.mark.parametrize("when_full", ["drop", pytest.param("wait", marks=pytest.mark.full)])
async def test_a_target_that_freezes(
    agent: Agent, go_target: GoTarget, go_loadtest: Builder, when_full: str
) -> None:
    """In the open model every call that is due during a freeze waits for its end.

    Those of 2 s are a tenth of all, and half of them wait for more than 1 s. With `wait`
    and few in flight the same is measured, because times count from the intended start.
    """
    load = {
        "start": 500,
        "stages": [{"rate": 500, "duration": 20}],
        "when_full": when_full,
        "max_in_flight": 5000 if when_full == "drop" else 200,
    }
    loadtest = go_loadtest("httpget", target=go_target.url)
    job_id = await agent.queue("open", loadtest, load=load)
    await second(agent, job_id, 7)
    frozen = await go_target.freeze(FREEZE_SECONDS)
    job, _ = await finished(agent, job_id)
    assert job["calls"]["scheduled"] == 10_000
    assert job["calls"]["dropped"] == 0
    stats = (await agent.request("GET", f"/jobs/{job_id}/stats")).json
    print(f"T2: {when_full}, {job['calls']}, iteration {stats['calls']['iteration']}")
    # A twentieth of 20 s, and the time in which the target responds to all that came.
    least = frozen - 1
    assert least - 0.1 < stats["calls"]["iteration"]["p95"] < least + 0.5


async def test_the_closed_loop_does_not_see_a_freeze(
    agent: Agent, go_target: GoTarget, go_loadtest: Builder
) -> None:
    """Each user waits once, and no other call is due meanwhile."""
    job_id = await agent.queue("closed", go_loadtest("httpget", target=go_target.url), duration=20)
    await second(agent, job_id, 7)
    await go_target.freeze(FREEZE_SECONDS)
    await finished(agent, job_id)
    iteration = (await agent.request("GET", f"/jobs/{job_id}/stats")).json["calls"]["iteration"]
    print(f"T2: closed, iteration {iteration}")
    assert iteration["max"] > 1
    assert iteration["p95"] < 0.05


async def test_users_follow_the_stages(agent: Agent, target: Target, go_loadtest: Builder) -> None:
    """Calls in flight follow a ramp, a pause and a jump, and every call returns."""
    target.delay_seconds = 0.05
    load = {
        "start": 10,
        "stages": [
            {"users": 10, "duration": 2},
            {"users": 500, "duration": 4},
            {"users": 500, "duration": 2},
            {"users": 0, "duration": 0},
            {"users": 0, "duration": 3},
            {"users": 50, "duration": 0},
            {"users": 50, "duration": 4},
        ],
    }
    job_id = await agent.queue("ramp", go_loadtest("httpget", target=target.url), load=load)
    job, windows = await finished(agent, job_id)
    assert job["calls"]["failed"] == 0
    at = {round(window["at"]): window.get("in_flight", 0) for window in windows}
    print(at)
    # At the ends of these windows the users do not change, and between a reply and the next call
    # a user has none in flight.
    assert [at[0], at[6], at[9], at[13]] == pytest.approx([10, 500, 0, 50], rel=0.1)
    assert at[2] < at[3] < at[4] < at[5]


async def test_a_running_job_is_steered(agent: Agent, target: Target, go_loadtest: Builder) -> None:
    """The users, a pause and the duration change while it runs; no call is aborted."""
    target.delay_seconds = 0.02
    job_id = await agent.queue("steered", go_loadtest("httpget", target=target.url), 600, users=10)

    async def change(at: int, **members: Any) -> None:
        await second(agent, job_id, at)
        answer = await agent.request("PATCH", f"/jobs/{job_id}", json=members)
        assert answer.status == 200, answer

    await change(1, users=400)
    await change(3, paused=True)
    await change(5, paused=False)
    await change(6, users=40)
    await change(8, duration=11)
    job, windows = await finished(agent, job_id)
    assert (job["calls"]["failed"], job["calls"]["dropped"]) == (0, 0)
    at = {round(window["at"]): window.get("in_flight", 0) for window in windows}
    print(at)
    assert [at[1], at[3], at[5], at[8]] == pytest.approx([10, 400, 0, 40], rel=0.1)
    timeline = (await agent.request("GET", f"/jobs/{job_id}/timeline")).json
    made = [
        {name: value for name, value in one.items() if name != "at"} for one in timeline["changes"]
    ]
    assert made == [
        {"users": 400},
        {"paused": True},
        {"paused": False},
        {"users": 40},
        {"duration": 11},
    ]
    assert (await agent.request("PATCH", f"/jobs/{job_id}", json={"users": 1})).status == 409
