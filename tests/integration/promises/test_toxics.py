"""R1: a bad network between agent and collector loses nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_twisted
from peers.agent import Agent
from peers.collector import Collector
from peers.notes import Notes
from peers.oracle import Comparing
from peers.toxics import Proxy, Toxic
from twisted.internet import reactor, task

RESULTS = 20_000
LINES_PER_SECOND = 5000
POISONED_CONNECTIONS = 5
HANG_SECONDS = 0.5
# The collector has stored the batch, and the agent has no response.
UNHEARD = (Toxic.LOST_ANSWER, Toxic.CUT_ANSWER, Toxic.GARBAGE)
# Socket buffers of five connections, out of five gigabytes.
MAX_WASTED_BYTES = 100 * 2**20


@pytest_twisted.async_yield_fixture
async def proxy(collector: Collector, request: pytest.FixtureRequest) -> AsyncIterator[Proxy]:
    """Run a proxy with the test's toxic."""
    toxic = request.param
    lasting = toxic in (Toxic.LATENCY, Toxic.SLICER)
    # The first connection is the check of the collector at the start.
    poisoned = 10**9 if lasting else POISONED_CONNECTIONS + 1
    proxy = Proxy(reactor, collector.port, toxic, poisoned)
    yield proxy
    await proxy.close()


@pytest.mark.parametrize("proxy", Toxic, ids=lambda toxic: toxic.name.lower(), indirect=True)
async def test_r1_nothing_is_lost_through(
    proxy: Proxy, idle_agent: Agent, numbered: Notes, compare_results: Comparing, soak: bool
) -> None:
    """Every result is delivered, and repeats can be recognised."""
    agent = idle_agent
    agent.options["--collector"] = proxy.url
    await agent.start()
    # A hang lasts for 30 s, the timeout of a push, unless the connection is dropped.
    cutting = task.LoopingCall(proxy.drop)
    if proxy.toxic is Toxic.HANG and not soak:
        cutting.start(HANG_SECONDS)
    program = numbered.script(count=RESULTS, rate=LINES_PER_SECOND)
    job_id = await agent.queue("toxic", program, duration=RESULTS // LINES_PER_SECOND + 1)
    try:
        await agent.settled(job_id, timeout_seconds=300 if soak else 60)
    finally:
        if cutting.running:
            cutting.stop()
    comparison = compare_results(job_id, "toxic")
    print(
        f"toxic {proxy.toxic.name}: {proxy.hits} hits, lost {len(comparison.lost)}, "
        f"repeated {len(comparison.repeated)}, sent of endless answers {proxy.wasted_bytes} bytes"
    )
    assert proxy.hits >= POISONED_CONNECTIONS
    assert (
        comparison.lost
        == comparison.missing
        == comparison.unrecognised
        == comparison.never_printed
        == []
    )
    # A batch in flight when a hang begins may have been stored.
    if proxy.toxic is not Toxic.HANG:
        assert bool(comparison.repeated) is (proxy.toxic in UNHEARD)
    assert proxy.wasted_bytes <= MAX_WASTED_BYTES
