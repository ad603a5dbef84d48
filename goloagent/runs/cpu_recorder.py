"""Records in a job how much CPU the agent and the load test use."""

from __future__ import annotations

from collections.abc import Callable
from time import process_time

from goloagent.core.stats.cpu_usage import CpuAccount, RunCpu
from goloagent.jobs.job import Job


class CpuRecorder:
    """Records the CPU usage during the load from `start` on.

    Args:
        read: returns the CPU seconds of the agent's process, all threads together.
    """

    def __init__(self, job: Job, read: Callable[[], float] = process_time) -> None:
        self._job = job
        self._read = read
        self._before = 0.0
        self._agent = CpuAccount()
        self._load_test = CpuAccount()

    def start(self) -> None:
        """Begin, when the load begins."""
        self._before = self._read()

    def add(self, load_test: float | None, seconds: float, is_load: bool) -> None:
        """Add the interval since `start` or the last call.

        Args:
            load_test: the CPU seconds of the load test, or None if they are not known.
            seconds: how long it is.
            is_load: whether it counts; the time after the load does not.
        """
        before, self._before = self._before, self._read()
        if not is_load:
            return
        self._agent.add(self._before - before, seconds)
        if load_test is not None:
            self._load_test.add(load_test, seconds)
        agent = self._agent.usage
        self._job.cpu = None if agent is None else RunCpu(agent, self._load_test.usage)
