"""A bad network between agent and collector loses nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest
import pytest_twisted
from peers.agent import Agent
from peers.collector import Collector
from peers.notes import Notes
from peers.oracle import Comparison
from peers.toxics import Proxy, Toxic
from twisted.internet import task

RESULTS = 10_000
LINES_PER_SECOND = 5000
POISONED_CONNECTIONS = 5
HANG_SECONDS = 0.5
# The collector has the batch, and the agent cannot know.
UNHEARD = (Toxic.LOST_ANSWER, Toxic.CUT_ANSWER, Toxic.GARBAGE)
# What the system keeps of five connections, of five gigabytes.
MOST_WASTED_BYTES = 100 * 2**20


@pytest_twisted.async_yield_fixture
async def proxy(collector: Collector, request: pytest.FixtureRequest) -> AsyncIterator[Proxy]:
    """Stand between agent and collector with the test's toxic."""
    from twisted.internet import reactor

    toxic = request.param
    lasting = toxic in (Toxic.LATENCY, Toxic.SLICER)
    # The first is the start's, which looks whether there is a collector and sends nothing.
    poisoned = 10**9 if lasting else POISONED_CONNECTIONS + 1
    proxy = Proxy(reactor, collector.port, toxic, poisoned)
    yield proxy
    await proxy.close()


@pytest.mark.parametrize("proxy", Toxic, ids=lambda toxic: toxic.name.lower(), indirect=True)
@pytest_twisted.ensureDeferred
async def test_r1_nothing_is_lost_through(
    proxy: Proxy,
    idle_agent: Agent,
    numbered: Notes,
    compare_results: Callable[..., Comparison],
    soak: bool,
) -> None:
    """Whatever the network does, every result arrives, and repeats can be recognised."""
    agent = idle_agent
    agent.options["--collector"] = proxy.url
    await agent.start()
    # A hang lasts 30 s each, the bound of a push, unless it is cut short.
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
    # What was under way when a hang began may have been stored, or not.
    if proxy.toxic is not Toxic.HANG:
        assert bool(comparison.repeated) is (proxy.toxic in UNHEARD)
    assert proxy.wasted_bytes <= MOST_WASTED_BYTES
