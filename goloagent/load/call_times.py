"""How long iterations take, and how late they start: three histograms of nanoseconds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from goloagent.core.profile.load_profile import Model
from goloagent.core.stats.call_histograms import CallHistograms

# Times are added to histograms in bulk, which is cheaper; more at once would delay arrivals.
_MAX_PENDING = 256
# From so many iterations on, and so many of each batch, it is cheaper to count them first.
_MIN_RETURNED = 12
_MIN_GROUPED = 4


class CallTimes:
    """Measures iterations: `sent` returns the stamps that `returned` needs for them."""

    def __init__(self, model: Model) -> None:
        self._is_open = model == "open"
        self._window = CallHistograms()
        self._iteration: list[int] = []
        # Times of batches that returned together, and how many iterations they have.
        self._grouped: list[int] = []
        self._sizes: list[int] = []
        self._service: list[int] = []
        self._lag: list[int] = []

    def sent(self, intended: list[int], now: int) -> Sequence[int | tuple[int, int]]:
        """Measure iterations that are sent now, and return a stamp for each."""
        if not self._is_open:
            return intended
        self._lag += [now - at for at in intended]
        return [(at, now) for at in intended]

    def returned(self, stamps: list[Any], now: int) -> None:
        """Measure iterations that return now."""
        if self._is_open:
            self._iteration += [now - at for at, _ in stamps]
            self._service += [now - sent for _, sent in stamps]
        elif len(stamps) < _MIN_RETURNED or not self._group(stamps, now):
            self._iteration += [now - at for at in stamps]
        if len(self._iteration) + len(self._grouped) >= _MAX_PENDING:
            self._flush()

    def _group(self, stamps: list[int], now: int) -> bool:
        """Measure many iterations that were sent in a few batches; return whether they were."""
        size = len(stamps)
        if stamps.count(stamps[0]) == size:
            self._grouped.append(now - stamps[0])
            self._sizes.append(size)
            return True
        batches = Counter(stamps)
        if len(batches) * _MIN_GROUPED > size:
            return False
        self._grouped += [now - at for at in batches]
        self._sizes += batches.values()
        return True

    def rotate(self) -> CallHistograms:
        """End a window, and return its times."""
        self._flush()
        window, self._window = self._window, CallHistograms()
        if not self._is_open:
            return CallHistograms(window.iteration, window.iteration)
        return window

    def _flush(self) -> None:
        window = self._window
        window.iteration.record(self._iteration)
        window.iteration.record_counted(self._grouped, self._sizes)
        window.service.record(self._service)
        window.schedule_lag.record(self._lag)
        for pending in (self._iteration, self._grouped, self._sizes, self._service, self._lag):
            pending.clear()
