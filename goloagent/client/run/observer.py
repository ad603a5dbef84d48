"""The calls by which run control reports a run while it goes on; views implement them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from goloagent.client.config.plan import Plan, ReportPlan
from goloagent.report.model import Report


class Observer(Protocol):
    """Is called in the order of the events; no method raises."""

    def planned(self, plan: Plan) -> None:
        """Begin to show a run; with ``--repeat`` once for each."""

    def attached(self, name: str, report: ReportPlan) -> None:
        """Begin to show a run of another client."""

    def phase(self, name: str, sentence: str) -> None:
        """Show that a part of the run begins."""

    def progress(self, agent: str, progress: Mapping[str, Any]) -> None:
        """Show the `progress` event of an agent."""

    def event(self, agent: str, kind: str, data: Mapping[str, Any]) -> None:
        """Show another event of an agent: `state`, `verdict`, `change`, `limited`, `ready`."""

    def note(self, sentence: str) -> None:
        """Show a sentence."""

    def ended(self, report: Report) -> None:
        """Show how the run ended."""

    def close(self) -> None:
        """Release the terminal, also after an exception; a second time does nothing."""
