"""Start: from the start of twistd to the first response, with and without a history."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from statistics import median
from uuid import uuid4

from bench import agent
from bench.row import Row
from bench.size import Size
from goloagent.core.job_spec import JobSpec
from goloagent.jobs.database import Binary, Store
from goloagent.jobs.job import CallCounts, Exit, Job, ResultCounts, State
from goloagent.runs import outcome
from goloagent.wal.run_files import RunFiles
from goloagent.wal.run_log import RunLogWriter

_LINE = b'{"url":"http://127.0.0.1/","method":"GET","timestamp":"2026-01-02T15:04:05Z"}\n'
# Less than --keep-days; with 10,000 jobs, one every two minutes.
_HISTORY = timedelta(days=14)
_NAMES = 20


def measure(directory: Path, size: Size) -> Iterator[Row]:
    """Start agents with an empty and a long history, alternating."""
    empty, full = directory / "empty", directory / "full"
    empty.mkdir()
    make_history(full, size.jobs)
    pairs = [(_start(empty), _start(full)) for _ in range(2 * size.rounds - 1)]
    without, with_jobs = zip(*pairs, strict=True)
    history = f"start with {size.jobs:,} jobs in history"
    yield Row("start, to the first response", median(without), "s", target=1.0, at_least=False)
    yield Row(history, median(with_jobs), "s", target=1.0, at_least=False)
    yield Row.compared(f"{history}, relative to none", with_jobs, "s", without, 1.2, at_least=False)


def make_history(directory: Path, jobs: int) -> None:
    """Write the state and logs of an agent that has run jobs; half of them still have logs."""
    logs, state = RunFiles(directory / "logs"), directory / "state"
    state.mkdir(parents=True)
    logs.root.mkdir()
    store = Store(state / "golo-agent.sqlite")
    kept = state / "binaries"
    kept.mkdir()
    begin = datetime.now(timezone.utc) - _HISTORY
    for number in range(jobs):
        queued = begin + _HISTORY * number / jobs
        if number % 100 == 0:
            binary = Binary(str(uuid4()), f"{number:064x}", len(_LINE), queued)
            (kept / binary.id).write_bytes(_LINE)
            store.add_binary(binary)
        spec = JobSpec(f"shop-{number % _NAMES}", 25, 60, binary.id)
        job = Job(str(uuid4()), spec, queued)
        store.add(job)
        _finish(job, number % 10 == 0)
        if number >= jobs // 2:
            job.has_log = True
            log = RunLogWriter.create(logs.root, spec.name, job.id)
            log.append_stdout(_LINE * job.results.read)
            log.close()
            logs.write_manifest(job)
        store.save(job)
    store.close()


def _finish(job: Job, failed: bool) -> None:
    """Set a job to its final state, with all results delivered."""
    job.started_at = job.queued_at + timedelta(seconds=1)
    job.ended_at = job.started_at + timedelta(seconds=61)
    job.state = State.FAILED if failed else State.FINISHED
    job.cause = outcome.AGENT_STOPPED if failed else None
    job.exit = Exit(signal="SIGTERM")
    job.stderr_tail = "a line of stderr\n" * 5
    job.calls = CallCounts(10, 10, 0)
    job.restore_results(ResultCounts(read=10, delivered=10, committed=10 * len(_LINE)))


def _start(directory: Path) -> float:
    """Return the seconds that a start takes."""
    begin = time.perf_counter()
    with agent.start(directory):
        return time.perf_counter() - begin
