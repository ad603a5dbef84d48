"""The summary of a run as text, from its report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.text import Text

from goloagent.client.view.details import LABEL, Details, run_seconds
from goloagent.client.view.symbols import Symbols
from goloagent.report import figures
from goloagent.report.checks import margin_of, value_of
from goloagent.report.figures import printable
from goloagent.report.model import Report

MAX_STDERR_LINES = 10
_PERCENTILES = ("min", "p50", "p90", "p95", "p99", "p999", "max")
_HEADS = ("min", "p50", "p90", "p95", "p99", "p99.9", "max")
_COLUMN = 9
_WIDTH = 2 + LABEL + 7 * _COLUMN


class Summary:
    """Lays out a report for people.

    Args:
        files: the files that the report is written to.
        is_narrow: a row for each percentile, for less than 80 columns.
    """

    def __init__(
        self,
        report: Report,
        symbols: Symbols,
        files: Sequence[str] = (),
        *,
        is_narrow: bool = False,
    ) -> None:
        self._report = report
        self._symbols = symbols
        self._files = files
        self._is_narrow = is_narrow

    def lines(self) -> Iterator[Text]:
        """Yield the lines; the last one is the verdict."""
        blank = Text()
        yield from (blank, self._head(), blank)
        details = Details(self._report, self._symbols, self._files)
        for block in (self._checks(), self._latency(), details.lines(), self._stderr()):
            lines = [*block]
            if lines:
                yield from (*lines, blank)
        yield self.verdict()

    def verdict(self) -> Text:
        """Return the verdict as a sentence, with the exit code."""
        outcome, verdict = self._report.outcome, self._report.verdict
        if outcome is not None:
            passed, sentence = outcome.exit_code == 0, outcome.sentence
            code = f"exit code {outcome.exit_code}"
            if not passed:
                code += f": {outcome.meaning}"
        elif verdict is not None:
            passed, sentence, code = verdict.passed, verdict.reason or "", ""
        else:
            return Text("There is no verdict yet.", "yellow")
        word, sign = "Passed" if passed else "Failed", self._sign(passed)
        if not sign.isalpha():
            word = f"{sign} {word}"
        text = f"{word}: {printable(sentence)}" if sentence else f"{word}."
        style = "bold green" if passed else "bold red"
        return Text.assemble((text, style), (f" ({code})" if code else ""))

    def _head(self) -> Text:
        report = self._report
        seconds = run_seconds(report)
        took = "" if seconds is None else f" after {figures.seconds(seconds)}"
        agents = f"{len(report.agents)} agents" if len(report.agents) != 1 else "1 agent"
        return Text.assemble(
            (printable(report.name), "bold"),
            f": {report.state}{took} on {agents}, run {report.run}",
        )

    def _checks(self) -> Iterator[Text]:
        checks = [] if self._report.verdict is None else self._report.verdict.checks
        names = [printable(f"{one.metric}: {one.threshold}") for one in checks]
        values = [value_of(one.metric, one.threshold, one.value) for one in checks]
        name_width, value_width = _width(names, 60), _width(values, 20)
        for check, name, value in zip(checks, names, values, strict=True):
            margin = margin_of(check.metric, check.threshold, check.value)
            style = "green" if check.passed else "bold red"
            line = Text.assemble(
                "  ",
                (self._sign(check.passed), style),
                f" {name.ljust(name_width)}  ",
                (value.rjust(value_width), style),
                f"  {margin}",
            )
            line.rstrip()
            yield line

    def _latency(self) -> Iterator[Text]:
        latency = self._report.latency
        rows = {"duration": latency.duration, "iteration": latency.iteration}
        if not any(rows.values()):
            return
        table = [
            [name, *(figures.seconds(getattr(found, member)) for member in _PERCENTILES)]
            for name, found in rows.items()
            if found is not None
        ]
        table.insert(0, ["", *_HEADS])
        if self._is_narrow:
            table = [[*row] for row in zip(*table, strict=True)]
        width = _COLUMN + 2 if self._is_narrow else _COLUMN
        for number, (label, *cells) in enumerate(table):
            row = "".join(cell.rjust(width) for cell in cells)
            yield Text(f"  {label:{LABEL}}{row}", "" if number else "dim")

    def _stderr(self) -> Iterator[Text]:
        """Yield the last lines of the stderr of load tests that failed."""
        for agent in self._report.agents:
            lines = agent.stderr_tail.splitlines()[-MAX_STDERR_LINES:]
            if agent.state != "failed" or not lines:
                continue
            of = f" on {agent.agent}" if len(self._report.agents) > 1 else ""
            yield Text(printable(f"  the last lines of the load test's stderr{of}:"), "dim")
            yield from (Text(f"    {printable(line.expandtabs(4))[:300]}") for line in lines)

    def _sign(self, passed: bool) -> str:
        return self._symbols.passed if passed else self._symbols.failed


def print_summary(
    report: Report, console: Console, symbols: Symbols, files: Sequence[str] = ()
) -> None:
    """Print the summary on a terminal."""
    for line in Summary(report, symbols, files, is_narrow=console.width < _WIDTH).lines():
        console.print(line)


def _width(texts: Sequence[str], most: int) -> int:
    return min(most, max(map(len, texts), default=0))
