"""The verdict alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from goloagent.client.config.plan import Plan, ReportPlan
from goloagent.client.view.stream import SafeStream
from goloagent.client.view.summary import Summary
from goloagent.client.view.symbols import symbols_for
from goloagent.report.model import Report


class Quiet:
    """Prints one line at the end."""

    def __init__(self, stream: SafeStream) -> None:
        self._stream = stream

    def planned(self, plan: Plan) -> None:
        """Do nothing."""

    def attached(self, name: str, report: ReportPlan) -> None:
        """Do nothing."""

    def phase(self, name: str, sentence: str) -> None:
        """Do nothing."""

    def progress(self, agent: str, progress: Mapping[str, Any]) -> None:
        """Do nothing."""

    def event(self, agent: str, kind: str, data: Mapping[str, Any]) -> None:
        """Do nothing."""

    def note(self, sentence: str) -> None:
        """Do nothing."""

    def ended(self, report: Report) -> None:
        """Print the verdict."""
        summary = Summary(report, symbols_for(self._stream.encoding))
        self._stream.write(f"{summary.verdict().plain}\n")
        self._stream.flush()

    def close(self) -> None:
        """Do nothing."""
