"""What ``golo run`` does: the plan's runs, one after the other, shown and written."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import attrs

from goloagent.client import reactor
from goloagent.client.agents.access import Access, address_for
from goloagent.client.agents.address import AgentAddress
from goloagent.client.config.plan import Plan
from goloagent.client.errors import ClientError
from goloagent.client.exit_codes import ExitCode
from goloagent.client.program.upload import Upload, upload_of
from goloagent.client.reports import comparison_text
from goloagent.client.reports.sources import Source, fetched, sources_in
from goloagent.client.run.baseline import with_baseline
from goloagent.client.run.execution import Execution
from goloagent.client.run.files import STDOUT, written
from goloagent.client.run.observer import Observer
from goloagent.client.view.choice import view_for
from goloagent.client.view.github import publish
from goloagent.client.view.stream import SafeStream
from goloagent.report.model import Report


@attrs.define(eq=False)
class Session:
    """The runs of a plan, shown on `stdout`."""

    plan: Plan
    stdout: IO[str]
    environ: Mapping[str, str] = attrs.field(repr=False)
    quiet: bool = False
    _address: AgentAddress | None = None
    _upload: Upload | None = None
    _execution: Execution | None = None
    _interrupted: bool = False
    _baseline: Sequence[Source] = ()

    def run(self) -> int:
        """Run them and return the exit code: of several runs, the first that is not 0.

        Raises:
            ClientError: a run could not begin.
        """
        if self.plan.report.baseline is not None:
            self._baseline = sources_in(self.plan.report.baseline)
        self._address = address_for(self.plan.fleet, self.environ)
        # A private agent runs as this user, so a command may be given by its path from here.
        directory = Path.cwd() if self._address is None else None
        with upload_of(self.plan.program, directory) as self._upload:
            return reactor.run(self._run, self._interrupt)

    async def _run(self, the_reactor: Any) -> int:
        # A report on stdout must be all that is on it.
        shown = sys.stderr if self.plan.report.json == STDOUT else self.stdout
        baseline = await self._baseline_reports(the_reactor)
        view = view_for(shown, self.environ, the_reactor, quiet=self.quiet)
        reports: list[Report] = []
        failure: ClientError | None = None
        try:
            await self._all(the_reactor, view, reports)
        except ClientError as error:
            failure = error  # the runs before it have reports
        finally:
            view.close()
        code = self._concluded(
            with_baseline(baseline, reports) if baseline and reports else reports, shown
        )
        if failure is not None:
            raise failure
        return code

    async def _all(self, the_reactor: Any, view: Observer, reports: list[Report]) -> None:
        """Run the plan as often as it says; add the reports to a list."""
        for _ in range(self.plan.repeat):
            report = await self._one(the_reactor, view)
            if report is not None:
                reports.append(report)
            if self._interrupted:
                break

    def _concluded(self, reports: Sequence[Report], shown: IO[str]) -> int:
        """Show and write what follows from the reports; return the exit code."""
        stream: Any = SafeStream(shown)
        if reports and reports[-1].baseline is not None:
            comparison_text.write(reports[-1].baseline, stream, quiet=self.quiet)
        for line in (line for report in reports for line in publish(report, self.environ)):
            print(line, file=stream, flush=True)
        codes = [report.outcome.exit_code for report in reports if report.outcome is not None]
        code = next((code for code in codes if code), ExitCode.OK)
        return written(self.plan.report, reports, self.stdout, code)

    async def _baseline_reports(self, the_reactor: Any) -> list[Report]:
        """Return the reports of the baseline: before the run, because a wrong name ends it."""
        if not self._baseline:
            return []
        fleet = self.plan.fleet
        access = Access(fleet.provider, fleet.tag, fleet.credentials)
        return await fetched(the_reactor, access, self.environ, self._baseline)

    async def _one(self, the_reactor: Any, view: Observer) -> Report | None:
        assert self._upload is not None
        self._execution = Execution(
            the_reactor, self.plan, self._upload, view, self.environ, self._address
        )
        view.planned(self.plan)
        report = await self._execution.start()
        if report is not None:
            view.ended(report)
        return report

    def _interrupt(self) -> None:
        self._interrupted = True
        if self._execution is not None:
            self._execution.interrupt()
