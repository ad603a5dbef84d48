"""The times of a run's calls: three histograms of nanoseconds."""

from __future__ import annotations

import attrs

from goloagent.core.stats.histogram import Histogram


@attrs.frozen
class CallHistograms:
    """Times of iterations in nanoseconds.

    Attributes:
        iteration: from the intended start to the return.
        service: from the send to the return; the same in the closed model.
        schedule_lag: from the intended start to the send; empty in the closed model.
    """

    iteration: Histogram = attrs.field(factory=Histogram)
    service: Histogram = attrs.field(factory=Histogram)
    schedule_lag: Histogram = attrs.field(factory=Histogram)

    def merge(self, other: CallHistograms) -> None:
        """Add all times of another one."""
        self.iteration.merge(other.iteration)
        self.service.merge(other.service)
        self.schedule_lag.merge(other.schedule_lag)
