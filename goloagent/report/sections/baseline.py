"""The comparison of a run with its baseline."""

from __future__ import annotations

from goloagent.report.comparison.model import Comparison, Row
from goloagent.report.comparison.sentence import effect, interval, value
from goloagent.report.markup import Markup, head, join, table, tag


def baseline(found: Comparison) -> Markup:
    """Return what differs, with each metric's effect, interval and p."""
    names = ("baseline", "this run", "effect", f"{found.confidence:.0%} interval", "p")
    heads = [head("metric"), *(head(name, class_="number") for name in names), head("finding")]
    return join(
        tag("p", found.sentence, class_="bad" if found.regression else None),
        *(tag("p", warning, class_="notice") for warning in found.warnings),
        table(heads, [_row(row) for row in found.rows], "Comparison with the baseline"),
        tag("p", f"p is corrected for {len(found.rows)} rows (Holm). Runs of the baseline: "
            f"{', '.join(run[:8] for run in found.a)}.", class_="small muted"),
    )  # fmt: skip


def _row(row: Row) -> Markup:
    p = "-" if row.p_adjusted is None else _p(row.p_adjusted)
    numbers = (value(row, row.a), value(row, row.b), effect(row), interval(row) or "-", p)
    return tag(
        "tr",
        tag("th", row.metric, scope="row"),
        *(tag("td", number, class_="number") for number in numbers),
        tag("td", row.verdict),
        class_="bad" if row.regression else None,
    )


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
