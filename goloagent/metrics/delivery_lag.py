"""The age of the oldest pending result of a run, from marks of (time, number of results).

Results are delivered in order, so the oldest pending one was received at the first mark above the
number of processed ones. The number of marks is bounded; they get coarser with the age.
"""

from __future__ import annotations

from collections import deque

import attrs

MAX_MARKS = 512


@attrs.define
class DeliveryLag:
    """The marks of one run, in seconds of one clock."""

    _marks: deque[tuple[float, int]] = attrs.Factory(deque)
    _results: int = 0
    _spacing: float = 0.0

    def update(self, seconds: float, results: int, processed: int) -> None:
        """Record the number of `results`, of which `processed` are not pending."""
        while self._marks and self._marks[0][1] <= processed:
            self._marks.popleft()
        if not self._marks:
            self._spacing = 0.0
        if results > max(self._results, processed):
            self._add(seconds, results)
        self._results = max(self._results, results)
        if len(self._marks) > MAX_MARKS:
            self._thin()

    @property
    def oldest_seconds(self) -> float | None:
        """When the oldest result that was pending at the last update was received, or None."""
        return self._marks[0][0] if self._marks else None

    def _add(self, seconds: float, results: int) -> None:
        """Add a mark, or extend the last one if it is recent."""
        if self._marks and seconds - self._marks[-1][0] < self._spacing:
            seconds = self._marks.pop()[0]
        self._marks.append((seconds, results))

    def _thin(self) -> None:
        """Merge pairs of marks at the time of the first, so that an age is never too short."""
        self._spacing = 2 * (self._marks[-1][0] - self._marks[0][0]) / MAX_MARKS
        marks = list(self._marks)
        self._marks.clear()
        for first, second in zip(marks[::2], marks[1::2], strict=False):
            self._marks.append((first[0], second[1]))
        if len(marks) % 2:
            self._marks.append(marks[-1])
