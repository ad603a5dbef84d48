"""The comparison of runs, as JSON."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Method = Literal["runs", "blocks"]
Scale = Literal["ratio", "difference"]
RowVerdict = Literal[
    "faster", "slower", "higher", "lower", "differs", "below the minimum effect",
    "no difference shown", "too few runs",
]  # fmt: skip


class Row(Struct, frozen=True, kw_only=True):
    """One metric of two sides.

    Attributes:
        unit: of `a` and `b`: ``s``, ``1/s`` or ``share`` (from 0 to 1).
        scale: of `effect`, `low` and `high`: ``ratio``, as 0.15 if B is 15 % more than A, or
            ``difference`` in the unit, if a value is zero or a share.
        a: the median of the runs.
        b: the same.
        effect: from A to B; by runs, the Hodges-Lehmann estimate.
        low: the end of its confidence interval; null if there are too few runs for one.
        high: the same.
        p: two-sided; null if there are too few runs or blocks.
        p_adjusted: p, corrected for the number of rows.
        regression: B is shown to be worse, by the minimum effect or more.
    """

    metric: str
    unit: str
    scale: Scale
    a: float
    b: float
    effect: float
    low: float | None
    high: float | None
    p: float | None
    p_adjusted: float | None
    verdict: RowVerdict
    regression: bool


class Comparison(Struct, frozen=True, kw_only=True):
    """How B differs from A.

    Attributes:
        a: the ids of its runs.
        b: the same.
        method: ``runs`` is a test over the runs, which shows that the systems differ; ``blocks`` is
            one over the parts of few runs, which shows that these runs differ, and no more.
        sentence: what is shown.
        warnings: how else the sides differ, a sentence each.
        regression: of any row.
    """

    a: list[str]
    b: list[str]
    method: Method
    confidence: float
    min_effect: float
    sentence: str
    rows: list[Row]
    warnings: list[str]
    regression: bool
