"""D2: slow and many clients do not deny service."""

from __future__ import annotations

from collections import Counter

import pytest
from peers.agent import Agent
from peers.slow_clients import SlowClients, ask_health
from twisted.internet.threads import deferToThread

IDLE = 300
DRIPPING = 50
MAX_SECONDS = 5.0


@pytest.mark.parametrize("accepted", [32, IDLE + DRIPPING])
async def test_d2_slow_clients(idle_agent: Agent, accepted: int) -> None:
    """`/health` responds to others during 350 connections of one client, and each of them ends.

    By default 32 are accepted and the others wait in the reserve; options allow all.
    """
    if accepted > 32:
        idle_agent.options |= {"--max-connections": "400", "--max-connections-per-peer": "400"}
    await idle_agent.start()

    def connect_all() -> tuple[list[tuple[int, float]], list[bytes], list[tuple[int, float]]]:
        clients = SlowClients(idle_agent.port, "127.0.0.3", IDLE, DRIPPING)
        try:
            return (
                [ask_health(idle_agent.port) for _ in range(20)],
                clients.ended(),
                [ask_health(idle_agent.port, "127.0.0.3")],
            )
        finally:
            clients.close()

    answers, received, afterwards = await deferToThread(connect_all)
    got = Counter(answer[9:12].decode() for answer in received)
    slowest = max(seconds for _, seconds in answers)
    print(
        f"D2: {IDLE} idle and {DRIPPING} dripping connections, {accepted} accepted: /health in "
        f"{slowest * 1000:.0f} ms at most; answers to them: {dict(got)}"
    )
    assert {status for status, _ in [*answers, *afterwards]} == {200}
    assert slowest <= MAX_SECONDS
    # Connections without a request get no response; those above the limit get 503.
    assert got["503"] + got["408"] == DRIPPING
    assert (got["503"] > 0) == (accepted == 32)
    assert sum(got.values()) == IDLE + DRIPPING
