"""D2: slow and many clients do not stop service."""

from __future__ import annotations

from collections import Counter

import pytest
import pytest_twisted
from peers.agent import Agent
from peers.crowd import Crowd, ask_health
from twisted.internet.threads import deferToThread

IDLE = 300
DRIPPING = 50
MOST_SECONDS = 1.0


@pytest.mark.parametrize("taken", [32, IDLE + DRIPPING])
@pytest_twisted.ensureDeferred
async def test_d2_a_crowd(idle_agent: Agent, taken: int) -> None:
    """With 350 connections of one client, `/health` answers another, and all of them end in time.

    By default 32 are taken and the rest waits in the reserve; the agent stands more, if asked to.
    """
    if taken > 32:
        idle_agent.options |= {"--max-connections": "400", "--max-connections-per-peer": "400"}
    await idle_agent.start()

    def throng() -> tuple[list[tuple[int, float]], list[bytes], list[tuple[int, float]]]:
        crowd = Crowd(idle_agent.port, "127.0.0.3", IDLE, DRIPPING)
        try:
            return (
                [ask_health(idle_agent.port) for _ in range(20)],
                crowd.ended(),
                [ask_health(idle_agent.port, "127.0.0.3")],
            )
        finally:
            crowd.close()

    answers, received, afterwards = await deferToThread(throng)
    got = Counter(answer[9:12].decode() for answer in received)
    slowest = max(seconds for _, seconds in answers)
    print(
        f"D2: {IDLE} idle and {DRIPPING} dripping connections, {taken} taken: /health in "
        f"{slowest * 1000:.0f} ms at most; answers to them: {dict(got)}"
    )
    assert {status for status, _ in [*answers, *afterwards]} == {200}
    assert slowest <= MOST_SECONDS
    # Those that have asked nothing get no answer; beyond the bound it is that there are too many.
    assert got["503"] + got["408"] == DRIPPING
    assert (got["503"] > 0) == (taken == 32)
    assert sum(got.values()) == IDLE + DRIPPING
