"""Follows a queued job to its report: ready, load, end, delivery, judgement."""

from __future__ import annotations

from typing import Any

import attrs
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from goloagent.client.agents.json_client import AgentError
from goloagent.client.config.plan import FleetPlan, ReportPlan
from goloagent.client.errors import ClientError
from goloagent.client.exit_codes import ExitCode
from goloagent.client.run.agent_run import AgentRun
from goloagent.client.run.observer import Observer
from goloagent.client.run.outcome import Circumstances, decide, never_ran
from goloagent.report.builder import build
from goloagent.report.model import Report

SLOW_START_SECONDS = 5.0
"""After which it is shown what a job waits for."""


@attrs.define(eq=False)
class Following:
    """Follows the job of a run on its agent; `bundled` if the load test is one of golo's own."""

    reactor: IReactorTime
    run: AgentRun
    observer: Observer
    report: ReportPlan
    fleet: FleetPlan = attrs.field(factory=FleetPlan)
    bundled: bool = False
    _interrupts: int = 0
    _task: Deferred[Report] | None = None

    def to_the_end(self) -> Deferred[Report]:
        """Return the report once the job is over and its results are delivered, or lost."""
        self._task = ensureDeferred(self._follow())
        return self._task

    def interrupt(self) -> None:
        """End the job in order; the second time, cancel it; the third time, leave it."""
        self._interrupts += 1
        api, job = self.run.api, self.run.job_id
        if self._interrupts > 2 or (self.run.over and self.run.hurried):
            self.detach()
        elif self.run.over:
            self.run.hurry()
            self.observer.note("The delivery of results is not waited for any longer.")
        elif self._interrupts == 1 and self.run.job.get("state") == "running":
            self.observer.note("The run ends in order; interrupt once more to cancel it.")
            self._ask(api.change(job, {"duration": 0}))
        else:
            self.observer.note("The run is being cancelled.")
            self._ask(api.cancel(job))

    def detach(self) -> None:
        """Follow the job no longer; it goes on."""
        if self._task is not None:
            self._task.cancel()

    async def _follow(self) -> Report:
        try:
            return await self._to_report()
        except CancelledError:
            raise ClientError(
                "interrupted; the run is not followed any longer", ExitCode.INTERRUPTED
            ) from None

    async def _to_report(self) -> Report:
        run = self.run
        watching = ensureDeferred(run.watch())
        not_ready = await self._ready()
        await watching
        if not run.lost:
            if run.has_pending:
                self.observer.phase("end", "waiting for the delivery of results")
            await run.delivered(self.report.delivery_seconds)
        if not_ready is None and run.over and never_ran(run.job["reason"]):
            not_ready = f"{run.name}: {run.job['message']}"
        facts = Circumstances(
            interrupted=self._interrupts > 0,
            not_ready=not_ready,
            lost=[run.name] if run.lost else [],
            tolerate=self.fleet.tolerate,
            strict=self.report.strict,
            delivery_seconds=self.report.delivery_seconds,
            bundled=self.bundled,
        )
        return await self._judged(facts)

    async def _ready(self) -> str | None:
        """Wait for the load to begin; return why it has not in time, when it is cancelled."""
        run, seconds = self.run, self.fleet.ready_seconds

        def too_late() -> None:
            self._ask(run.api.cancel(run.job_id))

        timer = self.reactor.callLater(seconds, too_late)
        explaining = ensureDeferred(self._explain())
        explaining.addErrback(lambda failure: failure.trap(CancelledError))
        await run.running
        explaining.cancel()
        if timer.active():
            timer.cancel()
            return None
        return f"{run.name} was not ready within {seconds:g} s."

    async def _explain(self) -> None:
        """Show once what a job waits for that does not start."""
        message = None
        while not message:  # it is queued until then
            await deferLater(self.reactor, SLOW_START_SECONDS)
            message = self.run.job.get("message")
        self.observer.note(f"{self.run.name}: {message}")

    async def _judged(self, facts: Circumstances) -> Report:
        run = self.run
        if run.lost and not run.job:
            raise AgentError(f"agent {run.name} was lost", exit_code=ExitCode.AGENTS_LOST)
        part = await run.part()
        if run.lost:
            facts = attrs.evolve(facts, lost=[run.name])
        outcome, duties = decide(build([part]), facts)
        return build([part], outcome=outcome, duties=duties)

    def _ask(self, request: Any) -> None:
        """Send a request whose effect is seen in the job's events."""
        ensureDeferred(request).addErrback(
            lambda failure: self.observer.note(failure.getErrorMessage())
        )
