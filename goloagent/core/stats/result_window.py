"""The results of one interval of a run."""

from __future__ import annotations

import attrs

from goloagent.core.stats.histogram import Histogram
from goloagent.core.stats.stats_entry import StatsEntry
from goloagent.core.thresholds import Selector


@attrs.frozen
class ResultWindow:
    """The results of one interval, and those of them that each selector selects."""

    results: int
    errors: int
    bytes: int
    durations: Histogram
    by_selector: dict[Selector, ResultWindow] = attrs.field(factory=dict)

    @classmethod
    def take(cls, entry: StatsEntry) -> ResultWindow:
        """Return the totals of an entry, which forgets them."""
        errors, size, durations = entry.take()
        return cls(durations.count, errors, size, durations)
