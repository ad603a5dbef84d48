"""The rows of the table: a number, its peer, and whether it reaches its target."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Row:
    """One number; `ratio` is to the peer's number, and None without a peer.

    The target applies to the ratio if there is one, else to the number. It is a minimum if
    `at_least`, else a maximum. A row without a target is for information.
    """

    what: str
    figure: float
    unit: str
    peer: float | None = None
    ratio: float | None = None
    target: float | None = None
    at_least: bool = True

    @classmethod
    def compared(
        cls,
        what: str,
        ours: Sequence[float],
        unit: str,
        theirs: Sequence[float],
        target: float | None = None,
        at_least: bool = True,
    ) -> Row:
        """Make a row of numbers that were measured alternating with those of a peer."""
        ratio = median(own / their for own, their in zip(ours, theirs, strict=True))
        return cls(what, median(ours), unit, median(theirs), ratio, target, at_least)

    @property
    def reached(self) -> bool | None:
        """Whether the target is reached, None without one."""
        if self.target is None:
            return None
        value = self.figure if self.ratio is None else self.ratio
        return value >= self.target if self.at_least else value <= self.target


def verdict(rows: Sequence[Row]) -> str:
    """Return a sentence about the targets that were not reached."""
    missed = [row.what for row in rows if row.reached is False]
    targets = sum(row.reached is not None for row in rows)
    if not missed:
        return f"All of {targets} targets were reached."
    return "\n".join([f"Of {targets} targets {len(missed)} were not reached:", *missed])


def table(rows: Iterable[Row]) -> str:
    """Render rows as a Markdown table."""
    lines = [
        "| what | agent | peer | ratio | target | reached |",
        "|---|---:|---:|---:|---:|---|",
    ]
    for row in rows:
        verdict = {True: "yes", False: "no", None: ""}[row.reached]
        sign = "≥" if row.at_least else "≤"
        unit = " x" if row.ratio is not None else f" {row.unit}"
        target = "" if row.target is None else f"{sign} {_text(row.target)}{unit}"
        peer = "" if row.peer is None else _text(row.peer)
        ratio = "" if row.ratio is None else f"{row.ratio:.2f} x"
        lines.append(
            f"| {row.what} | {_text(row.figure)} {row.unit} | {peer} | {ratio} | {target} "
            f"| {verdict} |"
        )
    return "\n".join(lines)


def _text(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
