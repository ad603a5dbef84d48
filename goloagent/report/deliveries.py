"""The delivery of a run's results to each output, over all agents. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

from goloagent.core.output_schemes import COLLECTOR
from goloagent.report.model import AgentReport, OutputDelivery, Report


@attrs.frozen
class OutputTotal:
    """One output: results = delivered + rejected + pending + abandoned, of agents that have it.

    Args:
        errors: the last ones of agents with pending results.
    """

    name: str
    required: bool = False
    results: int = 0
    delivered: int = 0
    rejected: int = 0
    pending: int = 0
    abandoned: int = 0
    errors: tuple[str, ...] = ()

    @property
    def lacks(self) -> int:
        """The results that it has not got."""
        return self.results - self.delivered

    @property
    def rest(self) -> str:
        """The numbers of results that are not delivered, as text."""
        names = ("rejected", "pending", "abandoned")
        return ", ".join(f"{getattr(self, name):,} {name}" for name in names if getattr(self, name))


def outputs_of(agent: AgentReport) -> Mapping[str, OutputDelivery]:
    """Return the outputs of an agent's job; an agent of before has the collector only."""
    delivery, results = agent.delivery, agent.results
    if agent.outputs or delivery.state == "none":
        return agent.outputs
    counts = (results.delivered, results.rejected, results.pending, results.abandoned)
    return {COLLECTOR: OutputDelivery(delivery.state, True, *counts, delivery.last_error)}


def is_named(outputs: Iterable[str]) -> bool:
    """Return whether texts name the outputs: not if the collector is the only one."""
    return [*outputs] != [COLLECTOR]


def totals(report: Report) -> list[OutputTotal]:
    """Return each output, in the order in which agents have them."""
    found: dict[str, OutputTotal] = {}
    for agent in report.agents:
        for name, one in outputs_of(agent).items():
            total = found.get(name, OutputTotal(name))
            has_error = one.pending and one.last_error and one.last_error not in total.errors
            found[name] = OutputTotal(
                name,
                total.required or one.required,
                total.results + agent.results.valid,
                total.delivered + one.delivered,
                total.rejected + one.rejected,
                total.pending + one.pending,
                total.abandoned + one.abandoned,
                (*total.errors, one.last_error or "") if has_error else total.errors,
            )
    return list(found.values())
