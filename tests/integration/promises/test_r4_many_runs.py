"""R4: pending runs cost disk, and neither memory nor descriptors."""

from __future__ import annotations

from datetime import datetime, timezone

from peers.agent import Agent
from peers.collector import Collector
from twisted.internet import reactor, task

from goloagent.core.job_spec import JobSpec
from goloagent.jobs.database import Store
from goloagent.jobs.job import Job, LineCounts, State
from goloagent.wal.run_log import RunLogWriter

RESULTS_OF_A_RUN = 300
MAX_GROWTH_BYTES = 64 * 2**20
MAX_DESCRIPTORS = 16
MAX_RETRY_SECONDS = 30
NOW = datetime(2026, 1, 2, tzinfo=timezone.utc)
LINE = b'{"timestamp":"2026-01-02T03:04:05Z","sequenceID":"%d","url":"http://127.0.0.1/","status":200}\n'


def leave_pending(agent: Agent, runs: int) -> list[str]:
    """Create the state and logs of jobs that ended and of which no result was delivered."""
    content = b"".join(LINE % number for number in range(RESULTS_OF_A_RUN))
    store = Store(agent.state / "golo-agent.sqlite")
    jobs = [
        Job(
            f"00000000-0000-4000-8000-{number:012}",
            JobSpec("pending", 1, 1, "binary"),
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


async def test_r4_many_pending_runs(idle_agent: Agent, collector: Collector, soak: bool) -> None:
    """Descriptors and memory do not grow with the number of pending runs."""
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
    await collector.received("pending", runs * RESULTS_OF_A_RUN, MAX_RETRY_SECONDS + runs // 5)
    drained = reactor.seconds() - begun
    for job_id in (jobs[0], jobs[-1]):
        await agent.settled(job_id)
    measuring.stop()
    growth, more = peak[0] - before, peak[1] - descriptors
    print(
        f"R4: {runs} runs of {RESULTS_OF_A_RUN} results pending: ready after {seconds:.1f} s, all "
        f"delivered after {drained:.1f} s, memory at most {growth / 2**20:.1f} MiB and descriptors "
        f"at most {more} more than with none"
    )
    assert len(collector.results("pending")) == runs * RESULTS_OF_A_RUN
    assert growth <= MAX_GROWTH_BYTES
    assert more <= MAX_DESCRIPTORS
