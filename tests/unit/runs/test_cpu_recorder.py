"""The CPU usage of a job, and of its run."""

from __future__ import annotations

import pytest
from unit.runs.one_run import NOW, OneRun

from goloagent.core.job_spec import JobSpec
from goloagent.core.stats.cpu_usage import CpuUsage, RunCpu
from goloagent.jobs.job import Job
from goloagent.runs.cpu_recorder import CpuRecorder
from goloagent.runs.transitions import Phase
from goloagent.sandbox.cpu_use import CpuUse


@pytest.fixture
def job() -> Job:
    """Return a job."""
    return Job("job-1", JobSpec("name", 1, 1, "binary"), NOW)


def test_the_usage_of_both(job: Job) -> None:
    """Time before the load does not count, nor an interval whose use is not known."""
    readings = iter([7.0, 7.25, 7.5, 8.5])
    recorder = CpuRecorder(job, lambda: next(readings))
    recorder.start()
    recorder.add(1.5, 1.0, True)
    assert job.cpu == RunCpu(CpuUsage(0.25, 0.25), CpuUsage(1.5, 1.5))
    recorder.add(None, 1.0, True)
    recorder.add(0.5, 1.0, True)
    assert job.cpu == RunCpu(CpuUsage(0.5, 1.0), CpuUsage(1.0, 1.5))


def test_a_load_test_that_cannot_be_measured(job: Job) -> None:
    """The agent's usage is known all the same."""
    recorder = CpuRecorder(job, lambda: 7.0)
    recorder.start()
    recorder.add(None, 1.0, True)
    assert job.cpu == RunCpu(CpuUsage(0.0, 0.0), None)


def test_time_without_load(job: Job) -> None:
    """It does not count, not even for the second after it."""
    readings = iter([1.0, 5.0, 5.5])
    recorder = CpuRecorder(job, lambda: next(readings))
    recorder.start()
    recorder.add(0.5, 1.0, False)
    assert job.cpu is None
    recorder.add(0.5, 1.0, True)
    assert job.cpu == RunCpu(CpuUsage(0.5, 0.5), CpuUsage(0.5, 0.5))


def usage(run: OneRun) -> CpuUsage | None:
    """Return that of a run's load test."""
    assert run.job.cpu is not None
    return run.job.cpu.load_test


def test_the_end_of_a_run_is_not_its_load() -> None:
    """Calls that return after the load, and the wait for the output, are not its seconds."""
    run = OneRun(duration_seconds=3).come_to(Phase.RUNNING)
    run.cpu = CpuUse(used=1.0)
    run.clock.pump([0.5] * 6)
    run.cpu = CpuUse(used=0.0)
    run.clock.pump([0.5] * 4)
    run.answer()
    run.clock.pump([0.5] * 2)
    run.exit()
    run.close()
    assert run.timeline.windows[-1].at >= 3
    assert usage(run) == CpuUsage(1.0, 1.0)


def test_a_program_that_drives_itself() -> None:
    """Its time after SIGTERM does not count."""
    run = OneRun(users=0, duration_seconds=3, members={"drive": "self"}).start()
    run.prepared()
    run.launched()
    run.cpu = CpuUse(used=1.0)
    run.clock.pump([0.5] * 6)
    assert run.story[-1] == "SIGTERM"
    run.cpu = CpuUse(used=0.0)
    run.clock.pump([0.5] * 4)
    run.exit()
    run.close()
    assert usage(run) == CpuUsage(1.0, 1.0)


def test_a_run_without_load() -> None:
    """Nothing is measured."""
    run = OneRun().come_to(Phase.CONNECTING)
    run.clock.advance(5)
    assert run.job.cpu is None
