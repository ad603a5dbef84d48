"""R2: repeats happen only after faults and can be recognised."""

from __future__ import annotations

from itertools import count

from peers.agent import Agent
from peers.collector import Collector, Misbehaviour
from peers.notes import Notes
from peers.oracle import Comparing

RESULTS = 50_000


async def test_r2_no_repeat_without_a_fault(
    agent: Agent, collector: Collector, numbered: Notes, compare_results: Comparing
) -> None:
    """Each result arrives once, and the keys cover the log without gaps."""
    job_id = await agent.queue("calm", numbered.script(count=RESULTS), duration=0)
    await agent.settled(job_id)
    comparison = compare_results(job_id, "calm")
    print(f"R2: {RESULTS} results without a fault: repeated {len(comparison.repeated)}")
    assert comparison.exact, comparison
    spans = [batch.span for batch in collector.pushes]
    firsts = [first for _, first, _ in spans]
    ends = [last + 1 for _, _, last in spans]
    assert [*firsts, agent.run_log(job_id, "calm").stat().st_size] == [0, *ends]


async def test_r2_repeats_carry_a_key_that_was_seen(
    agent: Agent, collector: Collector, numbered: Notes, compare_results: Comparing
) -> None:
    """A repeat of a batch that was stored without a response is within keys seen before."""
    pushes = count()
    collector.answer = lambda name: Misbehaviour.STORE_AND_DROP if next(pushes) % 3 == 0 else 200
    job_id = await agent.queue("dropped", numbered.script(count=RESULTS), duration=0)
    await agent.settled(job_id)
    comparison = compare_results(job_id, "dropped")
    faults = [batch for batch in collector.pushes if not batch.taken]
    print(
        f"R2: {RESULTS} results, {len(faults)} batches stored and dropped: "
        f"lost {len(comparison.lost)}, repeated {len(comparison.repeated)}, "
        f"of those outside a key seen {len(comparison.unrecognised)}"
    )
    assert comparison.lost == comparison.missing == comparison.never_printed == []
    assert comparison.unrecognised == []
    assert 0 < len(comparison.repeated) <= sum(batch.count for batch in faults)
