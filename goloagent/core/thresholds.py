"""Thresholds: what a run must reach to pass. `threshold_parser` reads them from a job.

`Threshold.check` compares one with a figure of the run, `verdict` computes that figure.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable
from fnmatch import translate
from functools import cached_property
from typing import Literal

import attrs

Kind = Literal["duration", "share", "count", "bytes", "level"]
METRICS: dict[str, Kind] = {
    "duration": "duration",
    "iteration": "duration",
    "service": "duration",
    "schedule_lag": "duration",
    "errors": "share",
    "results": "count",
    "iterations": "count",
    "dropped": "count",
    "invalid": "count",
    "undelivered": "count",
    "bytes": "bytes",
    "in_flight": "level",
    "agents_lost": "level",
    "limited": "level",
}

_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "===": operator.eq,
    "!=": operator.ne,
}


@attrs.frozen(slots=False)
class Selector:
    """Which results a metric is of: patterns of their members, with ``*`` and ``?``."""

    patterns: tuple[tuple[str, str], ...] = ()

    @cached_property
    def _compiled(self) -> tuple[tuple[str, re.Pattern[str]], ...]:
        return tuple(
            # A bracket is a character of URLs, as in http://[::1]/.
            (name, re.compile(translate(text.replace("[", "[[]"))))
            for name, text in self.patterns
        )

    def matches(self, *, url: str, method: str, status: int) -> bool:
        """Return whether a result of these members is selected."""
        for name, pattern in self._compiled:
            member = url if name == "url" else method if name == "method" else str(status)
            if pattern.match(member) is None:
                return False
        return True


@attrs.frozen
class Threshold:
    """An expression that must hold.

    Attributes:
        source: the metric and the expression as they were written.
        percentile: of the aggregation ``p``, from 0 to 100.
        limit: in seconds for durations, in shares of 1 for a rate of errors, else as it is.
        abort: end the job as soon as it does not hold, but not within its first `delay` seconds.
        over: the last so many seconds only, at most `MAX_OVER_SECONDS`; None is the whole run.
    """

    source: tuple[str, str]
    metric: str
    selector: Selector
    aggregation: str
    percentile: float
    operator: str
    limit: float
    abort: bool = False
    delay: float = 0.0
    over: float | None = None

    @property
    def kind(self) -> Kind:
        """The kind of the metric's figures."""
        return METRICS[self.metric]

    def check(self, figure: float | None) -> bool:
        """Return whether a figure holds; None is no data, which does not."""
        return figure is not None and _OPERATORS[self.operator](figure, self.limit)


def selectors(thresholds: Iterable[Threshold]) -> list[Selector]:
    """Return the selectors that the statistics of results need."""
    return list(dict.fromkeys(one.selector for one in thresholds if one.selector.patterns))
