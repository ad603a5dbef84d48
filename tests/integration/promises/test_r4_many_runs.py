"""R4 for many runs: those that wait for the collector cost disk, and neither memory nor files."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest_twisted
from peers.agent import Agent
from peers.collector import Collector
from twisted.internet import task

from goloagent.jobs.database import Store
from goloagent.jobs.job import Job, LineCounts, State
from goloagent.jobs.spec import JobSpec
from goloagent.wal.run_log import RunLogWriter

RESULTS_OF_A_RUN = 300
MOST_GROWTH_BYTES = 64 * 2**20
MOST_DESCRIPTORS = 16
LONGEST_RETRY_SECONDS = 30
NOW = datetime(2026, 1, 2, tzinfo=timezone.utc)
LINE = b'{"timestamp":"2026-01-02T03:04:05Z","sequenceID":"%d","url":"http://127.0.0.1/","status":200}\n'


def leave_pending(agent: Agent, runs: int) -> list[str]:
    """Leave behind what an agent does that has run so many jobs and delivered none of them."""
    content = b"".join(LINE % number for number in range(RESULTS_OF_A_RUN))
    store = Store(agent.state / "golo-agent.sqlite")
    jobs = [
        Job(
            f"00000000-0000-4000-8000-{number:012}",
            JobSpec("waited", 1, 1, "binary"),
            NOW,
            State.FINISHED,
            started_at=NOW,
            ended_at=NOW,
            has_log=True,
            lines=LineCounts(read=RESULTS_OF_A_RUN),
        )
        for number in range(runs)
    ]
    for job in jobs:
        log = RunLogWriter.create(agent.logs, job.spec.name, job.id)
        log.append_stdout(content)
        log.close()
        store.add(job)
    store.close()
    return [job.id for job in jobs]


@pytest_twisted.ensureDeferred
async def test_r4_many_pending_runs(idle_agent: Agent, collector: Collector, soak: bool) -> None:
    """However many runs wait, a start is fast, and descriptors and memory stay as they are."""
    from twisted.internet import reactor

    agent, runs = idle_agent, 2000 if soak else 300
    await agent.start()
    before, descriptors = agent.resident_bytes, agent.descriptors
    assert await agent.stop() == 0
    await collector.close()
    jobs = leave_pending(agent, runs)

    started = reactor.seconds()
    await agent.start()
    seconds = reactor.seconds() - started
    peak = [0, 0]

    def measure() -> None:
        peak[:] = max(peak[0], agent.resident_bytes), max(peak[1], agent.descriptors)

    measuring = task.LoopingCall(measure)
    measuring.start(0.05).addErrback(lambda failure: failure.trap(FileNotFoundError))
    collector.open()
    begun = reactor.seconds()
    await collector.received("waited", runs * RESULTS_OF_A_RUN, LONGEST_RETRY_SECONDS + runs // 20)
    drained = reactor.seconds() - begun
    for job_id in (jobs[0], jobs[-1]):
        await agent.settled(job_id)
    measuring.stop()
    growth, more = peak[0] - before, peak[1] - descriptors
    print(
        f"R4: {runs} runs of {RESULTS_OF_A_RUN} results waited: ready after {seconds:.1f} s, all "
        f"delivered after {drained:.1f} s, memory at most {growth / 2**20:.1f} MiB and descriptors "
        f"at most {more} more than with none"
    )
    assert len(collector.results("waited")) == runs * RESULTS_OF_A_RUN
    assert growth <= MOST_GROWTH_BYTES
    assert more <= MOST_DESCRIPTORS
