"""The details of a summary, beside thresholds and latencies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.text import Text

from goloagent.client.view.lines import change_line
from goloagent.client.view.symbols import Symbols
from goloagent.report import figures
from goloagent.report.deliveries import is_named, outputs_of, totals
from goloagent.report.figures import printable
from goloagent.report.model import PRIVATE_AGENT, AgentReport, Report

LABEL = 11
MAX_ERRORS = 5
MAX_AGENTS = 10
_MAX_SPANS = 4


class Details:
    """Lays out counts, errors, delivery, fleet and limits, a labelled line each.

    Args:
        files: the files that the report is written to.
    """

    def __init__(self, report: Report, symbols: Symbols, files: Sequence[str]) -> None:
        self._report = report
        self._symbols = symbols
        self._files = files

    def lines(self) -> Iterator[Text]:
        """Yield the lines."""
        report = self._report
        yield from self._counts()
        yield from self._errors()
        yield from self._delivery()
        yield from self._fleet()
        yield from self._limits()
        for duty in report.duties:
            if duty.passed is False:
                yield self._row("duty", f"{self._symbols.failed} {duty.sentence}", "red")
        for warning in dict.fromkeys(text for one in report.agents for text in one.warnings):
            yield self._row("warning", warning, "yellow")
        for change in report.changes:
            yield self._row("change", change_line(change))
        for sentence in report.missing:
            yield self._row("missing", sentence, "yellow")
        if report.baseline is not None:
            yield self._row("baseline", report.baseline.sentence)
            for warning in report.baseline.warnings:
                yield self._row("", warning, "yellow")
        for file in self._files or [self._place()]:
            yield self._row("report", file)

    def _place(self) -> str:
        """Return where the report is if it is in no file."""
        if [agent.agent for agent in self._report.agents] == [PRIVATE_AGENT]:
            return "in no file, and the agent is gone: add --html FILE to keep one"
        return f"golo report {self._report.run}"

    def _counts(self) -> Iterator[Text]:
        report = self._report
        results, calls = report.results, report.calls
        seconds = run_seconds(report)
        parts = [f"{figures.count(results.valid)}"]
        if report.rate is not None:
            parts[0] += f", {figures.rate(report.rate)}"
        if results.bytes:
            each = f" ({figures.size(results.bytes / seconds)}/s)" if seconds else ""
            parts.append(f"{figures.size(results.bytes)}{each}")
        yield self._row("results", ", ".join(parts))
        if results.invalid:
            text = f"{figures.count(results.invalid)} lines of stdout are no results"
            yield self._row("invalid", text, "yellow")
        if report.drive != "self":
            parts = [f"{figures.count(calls.started)} started"]
            if calls.dropped:
                of = figures.share(calls.dropped, calls.scheduled)
                parts.append(f"{figures.count(calls.dropped)} dropped ({of})")
            if calls.failed:
                parts.append(f"{figures.count(calls.failed)} failed")
            if calls.in_flight:
                parts.append(f"{figures.count(calls.in_flight)} never returned")
            yield self._row("calls", ", ".join(parts), "" if calls.ok else "red")

    def _errors(self) -> Iterator[Text]:
        report = self._report
        errors, valid = report.results.errors, report.results.valid
        total = errors + report.calls.failed
        of = f"{figures.count(errors)} of {figures.count(valid)} results"
        share = f" ({figures.share(errors, valid)})" if errors else ""
        failed = f", {figures.count(report.calls.failed)} failed calls" if total > errors else ""
        yield self._row("errors", f"{of}{share}{failed}", "bold red" if total else "")
        for error in report.errors[:MAX_ERRORS]:
            place = f"{error.method} {error.url}".strip()
            status = str(error.status) if error.status else ""
            what = ": ".join(filter(None, (" ".join(filter(None, (place, status))), error.message)))
            whole = valid if place or error.status else report.calls.started
            share = figures.share(error.count, whole)
            text = printable(what or "an error without a text")[:300]
            yield Text(f"  {'':{LABEL}}{figures.count(error.count):>7} ({share})  {text}", "red")
        rest = sum(error.count for error in report.errors[MAX_ERRORS:]) + report.other_errors
        if rest:
            yield Text(f"  {'':{LABEL}}{figures.count(rest):>7} others")

    def _delivery(self) -> Iterator[Text]:
        found = totals(self._report)
        if self._report.agents and not found:
            yield self._row("delivered", "nothing, because the agent has no output")
            return
        has_names = is_named(output.name for output in found)
        for label, output in zip(["delivered", *[""] * len(found)], found, strict=False):
            done = f"{figures.count(output.delivered)} of {figures.count(output.results)} results"
            text = ", ".join(filter(None, (done, output.rest)))
            name = f"{output.name}: " if has_names else ""
            yield self._row(label, f"{name}{text}", "yellow" if output.rest else "")
        for agent in self._report.agents:
            for name, one in outputs_of(agent).items():
                if one.pending and one.last_error:
                    to = f" to {name}" if has_names else ""
                    yield self._row("", f"{agent.agent}{to}: {one.last_error}", "yellow")

    def _fleet(self) -> Iterator[Text]:
        agents = self._report.agents
        if len(agents) < 2:
            return
        for label, agent in zip(["agents", *[""] * MAX_AGENTS], agents[:MAX_AGENTS], strict=False):
            yield self._row(label, _agent(agent), "" if agent.state == "finished" else "red")
        if len(agents) > MAX_AGENTS:
            yield self._row("", f"and {len(agents) - MAX_AGENTS} more")

    def _limits(self) -> Iterator[Text]:
        causes: dict[str, list[str]] = {}
        sums: dict[str, float] = {}
        for limit in self._report.limited:
            key = limit.cause
            if len(self._report.agents) > 1:
                key = f"{limit.cause} on {limit.agent}"
            span = (
                f"{figures.duration(limit.begin)}{self._symbols.dash}{figures.duration(limit.end)}"
            )
            causes.setdefault(key, []).append(span)
            sums[key] = sums.get(key, 0.0) + limit.end - limit.begin
        for key, spans in causes.items():
            more = f" and {len(spans) - _MAX_SPANS} more" if len(spans) > _MAX_SPANS else ""
            at = ", ".join(spans[:_MAX_SPANS])
            text = f"the load generator: {key} for {figures.seconds(sums[key])}, at {at}{more}"
            yield self._row("limit", text, "yellow")

    def _row(self, label: str, text: str, style: str = "") -> Text:
        return Text.assemble("  ", (label.ljust(LABEL), "dim"), (printable(text), style))


def run_seconds(report: Report) -> float | None:
    """Return how long a run took; None if it has not started or not ended."""
    if report.started_at is None or report.ended_at is None:
        return None
    return (report.ended_at - report.started_at).total_seconds()


def _agent(agent: AgentReport) -> str:
    parts = [f"{100 * agent.share:.1f} % of the load", f"p95 {figures.seconds(agent.p95)}"]
    if agent.limited:
        parts.append(f"limited for {figures.seconds(agent.limited)}")
    if agent.state != "finished":
        parts.append(agent.message or agent.state)
    return f"{agent.agent}: {', '.join(parts)}"
