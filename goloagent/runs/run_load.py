"""The load of one run: its driver, its steering, and the sampler and the judge that watch it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from goloagent.core.stats.run_stats import RunStatistics
from goloagent.jobs.job import Job
from goloagent.load.load_driver import LoadDriver
from goloagent.load.rpc_client import RpcClient
from goloagent.runs.dependencies import RunDependencies
from goloagent.runs.judge import Judge
from goloagent.runs.limit_detector import LimitRecorder
from goloagent.runs.sampler import RunSampler
from goloagent.runs.second_sample import SecondSample
from goloagent.runs.steering import Change, ChangeRequest, Steering
from goloagent.sandbox.process import LoadTestProcess


class RunLoad:
    """Drives and measures the load test of `job` on an RPC client.

    Args:
        statistics: returns those of the run's results.
        drained: called when the driver has stopped and no call is in flight.
        crossed: called with a sentence each second after a threshold that aborts was crossed.
    """

    def __init__(
        self,
        job: Job,
        deps: RunDependencies,
        client: RpcClient,
        statistics: Callable[[], RunStatistics],
        drained: Callable[[], None],
        crossed: Callable[[str], None],
    ) -> None:
        self._job = job
        self._deps = deps
        self._statistics = statistics
        self._crossed = crossed
        self.steering = Steering(job.spec.profile, is_driven=job.spec.drive != "self")
        self.driver = LoadDriver(
            job.spec.profile,
            client,
            job.calls,
            drained,
            lambda errors: statistics().add_failed_calls(errors),
            deps.clock,
            lambda: round(deps.clock.seconds() * 1e9),
        )
        self.judge = Judge(job)
        self.sampler = RunSampler(
            job,
            self.driver,
            LimitRecorder(job, partial(deps.watchers.publish, job, "limited")),
            deps.clock,
            deps.now,
            deps.open_timeline,
            deps.watchers,
            self._on_second,
        )

    def measure(self, process: LoadTestProcess) -> None:
        """Begin to measure; the load begins at the same time."""
        self.sampler.start(self._statistics(), process)
        self.driver.begin()

    def change(self, request: ChangeRequest) -> Change:
        """Change the load, which must be running.

        Raises:
            InvalidChange: the change does not fit the job.
            ImpossibleChange: the job was changed too often.
        """
        now = self.driver.elapsed
        change = self.steering.change(request, now)
        self.driver.follow(self.steering.profile(now))
        self.sampler.note(change)
        self._deps.watchers.publish(self._job, "change", change)
        return change

    def _on_second(self, sample: SecondSample) -> None:
        """Judge what was measured; a threshold can end the run."""
        self._deps.observe_second(self._job, sample)
        before, self._job.verdict = self._job.verdict, self.judge.add(sample)
        verdict = self._job.verdict
        if verdict is not None and (before is None or before.passed is not verdict.passed):
            self._deps.watchers.publish(self._job, "verdict", verdict)
        threshold = self.judge.crossed
        if threshold is not None:
            self._crossed(f"Threshold {': '.join(threshold.source)} was crossed.")
