"""Since when the results of one run wait: marks of how many there were at what time.

Results are delivered in order, so the oldest one that waits came with the first mark above the
number of those settled. Pure, and of bounded size: the longer results wait, the coarser the marks.
"""

from __future__ import annotations

from collections import deque

import attrs

MAX_MARKS = 512


@attrs.define
class DeliveryLag:
    """Marks of one run, in seconds of any one clock."""

    _marks: deque[tuple[float, int]] = attrs.Factory(deque)
    _noted: int = 0
    _spacing: float = 0.0

    def update(self, seconds: float, results: int, processed: int) -> None:
        """Note that there are so many `results` now, of which so many wait no more."""
        while self._marks and self._marks[0][1] <= processed:
            self._marks.popleft()
        if not self._marks:
            self._spacing = 0.0
        if results > max(self._noted, processed):
            self._add(seconds, results)
        self._noted = max(self._noted, results)
        if len(self._marks) > MAX_MARKS:
            self._thin()

    @property
    def oldest_seconds(self) -> float | None:
        """When the oldest result that waited at the last note came, or None when none did."""
        return self._marks[0][0] if self._marks else None

    def _add(self, seconds: float, results: int) -> None:
        """Make a mark, or have the last one count for what came soon after it."""
        if self._marks and seconds - self._marks[-1][0] < self._spacing:
            seconds = self._marks.pop()[0]
        self._marks.append((seconds, results))

    def _thin(self) -> None:
        """Make one of two marks, which has the time of the first: an age is never too short."""
        self._spacing = 2 * (self._marks[-1][0] - self._marks[0][0]) / MAX_MARKS
        marks = list(self._marks)
        self._marks.clear()
        for first, second in zip(marks[::2], marks[1::2], strict=False):
            self._marks.append((first[0], second[1]))
        if len(marks) % 2:
            self._marks.append(marks[-1])
