"""A comparison for people: a table, warnings, and a sentence."""

from __future__ import annotations

from typing import IO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from goloagent.report.comparison.model import Comparison, Row
from goloagent.report.comparison.sentence import effect, interval, value
from goloagent.report.figures import printable

WIDTH = 120
"""Where there is no terminal."""

_STYLES = {"below the minimum effect": "dim", "no difference shown": "dim", "too few runs": "dim"}


def write(comparison: Comparison, to: IO[str], *, quiet: bool = False) -> None:
    """Write a comparison: in colours on a terminal; if `quiet`, its sentence only."""
    console = Console(file=to, highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = WIDTH
    if comparison.rows and not quiet:
        console.print(_table(comparison))
        console.print()
    for warning in () if quiet else comparison.warnings:
        console.print(Text(f"warning: {printable(warning)}", "yellow"), soft_wrap=True)
    style = "bold red" if comparison.regression else "bold"
    console.print(Text(comparison.sentence, style), soft_wrap=True)


def _table(comparison: Comparison) -> Table:
    # Fits into the 80 columns of a small terminal; a long verdict is folded.
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 1, 0, 0))
    heads = ("metric", "A", "B", "effect", f"{100 * comparison.confidence:g} % interval", "p")
    for number, head in enumerate(heads):
        table.add_column(head, justify="right" if 0 < number < 4 else "left", no_wrap=True)
    table.add_column("verdict", overflow="fold")
    for row in comparison.rows:
        style = "red" if row.regression else _STYLES.get(row.verdict, "")
        cells = (
            row.metric,
            value(row, row.a),
            value(row, row.b),
            effect(row),
            interval(row) or "-",
            _p(row),
            row.verdict.removesuffix(" shown"),
        )
        table.add_row(*(Text(cell, style) for cell in cells))
    return table


def _p(row: Row) -> str:
    """Return p as it was corrected for the number of rows."""
    if row.p_adjusted is None:
        return "-"
    return "<0.001" if row.p_adjusted < 0.001 else f"{row.p_adjusted:.3f}"
