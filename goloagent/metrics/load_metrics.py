"""The load itself, over all jobs since the start of the process: counts, levels and times."""

from __future__ import annotations

from collections import defaultdict

import attrs

from goloagent.core.profile.load_profile import Model
from goloagent.core.stats.histogram import Histogram
from goloagent.core.timeline import Window


@attrs.define
class LoadMetrics:
    """Updated with each second of each run, so that no result and no call costs anything.

    Attributes:
        planned: the users of a closed model, or the iterations per second of an open one, now.
        is_limited: whether the load generator was the limit in the last second of load.
        limited_seconds: for how long each cause held.
        durations: of results, in nanoseconds.
        iterations: the durations of calls from the intended start, in nanoseconds.
    """

    planned: dict[Model, float] = attrs.Factory(dict)
    errors: int = 0
    is_limited: bool = False
    limited_seconds: defaultdict[str, float] = attrs.Factory(lambda: defaultdict(float))
    durations: Histogram = attrs.Factory(Histogram)
    iterations: Histogram = attrs.Factory(Histogram)

    def add(self, model: Model, window: Window, results: Histogram, calls: Histogram) -> None:
        """Add a window of a run, whose last one has a planned load of 0.

        Args:
            results: the durations of the window's results.
            calls: the durations of its iterations.
        """
        self.planned = {model: window.planned}
        self.errors += window.errors
        self.is_limited = bool(window.limited)
        for cause in window.limited:
            self.limited_seconds[cause] += window.seconds
        self.durations.merge(results)
        self.iterations.merge(calls)
