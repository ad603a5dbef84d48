"""The result of a comparison in a sentence."""

from __future__ import annotations

from collections.abc import Sequence

from goloagent.report import figures
from goloagent.report.comparison.model import Method, Row

_MAX_NAMED = 3
_UNSHOWN = ("no difference shown", "below the minimum effect", "too few runs")


def sentence(rows: Sequence[Row], method: Method, runs: tuple[int, int], needed: int) -> str:
    """Return the sentence of all rows; `needed` is how many runs a side are enough for them."""
    shown = [row for row in rows if row.verdict not in _UNSHOWN]
    named = ", ".join(f"{row.metric} {effect(row)}" for row in shown[:_MAX_NAMED])
    more = f" and {len(shown) - _MAX_NAMED} more" if len(shown) > _MAX_NAMED else ""
    is_undecidable = any(row.verdict == "too few runs" for row in rows)
    counts = f"{runs[0]} and {runs[1]} runs"
    if not rows:
        return "The runs have no figure in common that can be compared."
    if method == "runs":
        if is_undecidable:
            return (
                f"{counts} are too few to show a difference in {len(rows)} metrics: repeat each "
                f"at least {needed} times, or compare fewer metrics."
            )
        if not shown:
            return f"No difference is shown ({counts})."
        return f"B differs from A: {named}{more} ({counts})."
    these = "These two runs" if sum(runs) == 2 else "These runs"
    repeat = f"to compare A with B, repeat each at least {needed} times"
    if is_undecidable:
        return f"{these} are too short, or their reports have no timeline: {repeat}."
    if not shown:
        return f"{these} do not differ measurably; {repeat}."
    return f"{these} differ: {named}{more}. That is no more than it says: {repeat}."


def effect(row: Row) -> str:
    """Return the effect of a row with its unit."""
    return _shown(row, row.effect)


def interval(row: Row) -> str:
    """Return the interval of a row's effect, or an empty text if it has none or all is equal."""
    if row.low is None or row.high is None or row.low == row.high:
        return ""
    low, high = _shown(row, row.low), _shown(row, row.high)
    unit = f" {high.rpartition(' ')[2]}"
    return f"{low.removesuffix(unit)} to {high}"


def value(row: Row, number: float) -> str:
    """Return a value of a row with its unit."""
    if row.unit == "s":
        return figures.seconds(number)
    return figures.share(number, 1) if row.unit == "share" else figures.rate(number)


def _shown(row: Row, number: float) -> str:
    sign = "-" if number < 0 else "+"
    if row.scale == "ratio":
        return f"{100 * number:+.1f} %"
    if row.unit == "share":
        return f"{sign}{figures.digits(abs(100 * number))} pp"
    return sign + value(row, abs(number))
