"""R4: a collector outage costs disk, not memory."""

from __future__ import annotations

import pytest
from peers.agent import Agent
from peers.collector import Collector, Misbehaviour
from peers.notes import Notes
from peers.oracle import Comparing
from twisted.internet import reactor, task

LINES_PER_SECOND = 20_000
MAX_GROWTH_BYTES = 64 * 2**20
# The maximum delay of the next attempt.
MAX_RETRY_SECONDS = 30


@pytest.mark.parametrize("how", ["refusing", "hanging", "answering 503"])
async def test_r4_outage(
    agent: Agent,
    collector: Collector,
    numbered: Notes,
    compare_results: Comparing,
    soak: bool,
    how: str,
) -> None:
    """Memory does not grow at full speed, and the backlog is delivered afterwards."""
    seconds = 60 if soak else 5
    before, peak = agent.resident_bytes, [0]

    def measure() -> None:
        peak[0] = max(peak[0], agent.resident_bytes)

    measuring = task.LoopingCall(measure)
    measuring.start(0.1).addErrback(lambda failure: failure.trap(FileNotFoundError))
    if how == "refusing":
        await collector.close()
    else:
        collector.answer = lambda name: Misbehaviour.HANG if how == "hanging" else 503

    program = numbered.script(count=LINES_PER_SECOND * seconds, rate=LINES_PER_SECOND)
    job_id = await agent.queue("outage", program, duration=seconds + 1)
    await agent.reached(job_id, "running")
    await task.deferLater(reactor, seconds)
    backlog = (await agent.job(job_id))["results"]["pending"]
    collector.answer = lambda name: 200
    if how == "refusing":
        collector.open()
    collector.drop()
    repaired = reactor.seconds()
    await collector.received("outage", 1, MAX_RETRY_SECONDS + 1)
    begun = reactor.seconds()
    await agent.settled(job_id, timeout_seconds=2 * seconds + 110)
    drained = reactor.seconds()
    measuring.stop()

    comparison = compare_results(job_id, "outage")
    growth = peak[0] - before
    print(
        f"R4: {seconds} s {how} at {numbered.rate(job_id):.0f} lines a second: memory grew by "
        f"{growth / 2**20:.1f} MiB, lost {len(comparison.lost)}, {backlog} pending, retried "
        f"after {begun - repaired:.1f} s, drained {drained - begun:.1f} s later"
    )
    assert backlog > 0
    assert comparison.exact or how == "hanging", comparison
    assert comparison.lost == comparison.missing == comparison.unrecognised == []
    assert growth <= MAX_GROWTH_BYTES
