"""Lines for logs: one every ten seconds, and one for each event."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from goloagent.client.config.plan import Plan, ReportPlan
from goloagent.client.view.lines import CheckChanges, event_line, first_line, progress_line
from goloagent.client.view.status import RunStatus
from goloagent.client.view.stream import SafeStream
from goloagent.client.view.summary import Summary
from goloagent.client.view.symbols import symbols_for
from goloagent.report import figures
from goloagent.report.model import Report

INTERVAL_SECONDS = 10


class PlainLines:
    """Prints lines without colours or control sequences."""

    def __init__(self, stream: SafeStream) -> None:
        self._stream = stream
        self._symbols = symbols_for(stream.encoding)
        self._status = RunStatus()
        self._changes = CheckChanges()
        self._printed = 0
        self._runs = 0
        self._files: Sequence[str] = ()

    def planned(self, plan: Plan) -> None:
        """Print what will be run."""
        self.resume(RunStatus(plan.name), plan.report)
        self._runs += 1
        self._print(first_line(plan, self._runs))

    def attached(self, name: str, report: ReportPlan) -> None:
        """Print what is followed."""
        self.resume(RunStatus(name), report)
        self._print(f"{name}: attached")

    def resume(self, status: RunStatus, report: ReportPlan) -> None:
        """Go on with a run that another view has shown."""
        self._status = status
        self._files = written_files(report)
        self._changes = CheckChanges()
        self._printed = int(status.at + 1) // INTERVAL_SECONDS

    def phase(self, name: str, sentence: str) -> None:
        """Print what is done now."""
        self._print(sentence)

    def progress(self, agent: str, progress: Mapping[str, Any]) -> None:
        """Print the figures if ten seconds have passed on all agents."""
        self._status.progress(agent, progress)
        due = int(self._status.at + 1) // INTERVAL_SECONDS
        if due > self._printed:
            self._printed = due
            self._print(progress_line(self._status, self._symbols))

    def event(self, agent: str, kind: str, data: Mapping[str, Any]) -> None:
        """Print an event, and the thresholds that it changes."""
        known = self._status.agents.get(agent)
        is_news = kind != "state" or known is None or known.job.get("state") != data.get("state")
        self._status.event(agent, kind, data)
        line = event_line(kind, data) if is_news else ""
        if line:
            self._print(f"{agent}: {line}" if len(self._status.agents) > 1 else line)
        for change in self._changes.since_last(self._status, self._symbols):
            self._print(change)

    def note(self, sentence: str) -> None:
        """Print a sentence."""
        self._print(sentence)

    def ended(self, report: Report) -> None:
        """Print the summary."""
        for line in Summary(report, self._symbols, self._files).lines():
            self._stream.write(f"{line.plain.rstrip()}\n")
        self._stream.flush()

    def close(self) -> None:
        """Do nothing."""

    def _print(self, text: str) -> None:
        self._stream.write(figures.printable(text) + "\n")
        self._stream.flush()


def written_files(report: ReportPlan) -> list[str]:
    """Return the files that a report is written to."""
    files = (report.html, report.json, report.junit)
    return [str(path) for path in files if path is not None and str(path) != "-"]
