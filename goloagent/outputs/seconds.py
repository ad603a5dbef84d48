"""A batch of a timeline: windows in the order of time, with the totals up to each of them. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import attrs
import msgspec

from goloagent.core.stats.cumulative_histogram import CumulativeHistogram
from goloagent.core.timeline import Window

_COUNTS = (
    "scheduled", "started", "dropped", "succeeded", "failed",
    "results", "errors", "bytes", "invalid",
)  # fmt: skip


@attrs.define
class Totals:
    """The sums of all windows of a run up to a time.

    They are equal at a time however the windows before it were merged.

    Attributes:
        duration: of the results.
        iteration: of the calls, from the intended start.
    """

    scheduled: int = 0
    started: int = 0
    dropped: int = 0
    succeeded: int = 0
    failed: int = 0
    results: int = 0
    errors: int = 0
    bytes: int = 0
    invalid: int = 0
    duration: CumulativeHistogram = attrs.Factory(CumulativeHistogram)
    iteration: CumulativeHistogram = attrs.Factory(CumulativeHistogram)

    def add(self, window: Window) -> None:
        """Add a window.

        Raises:
            ValueError: its histograms are damaged.
        """
        for name in _COUNTS:
            setattr(self, name, getattr(self, name) + getattr(window, name))
        self.duration.add(window.duration.histogram)
        self.iteration.add(window.iteration.histogram)

    def copy(self) -> Totals:
        """Return a copy that does not change."""
        return attrs.evolve(self, duration=self.duration.copy(), iteration=self.iteration.copy())


@attrs.frozen
class Second:
    """One window, and when it ends, in milliseconds from the start of the load.

    The ends of a run's windows differ, also if a window has no length.
    """

    window: Window
    end: int


@attrs.frozen
class SecondsBatch:
    """Windows of a run that follow each other.

    Args:
        start: of the load.
        model: of the load: ``closed`` or ``open``.
        first: the time up to which all windows were sent, in milliseconds from the start.
        before: the totals up to the first window.
        accounted: results up to `first`, as the account has them. They differ from those of
            `before` if windows were merged across `first`.
        is_last: the run is over and no window follows.
    """

    start: datetime
    model: str
    first: int
    seconds: tuple[Second, ...]
    before: Totals = attrs.field(repr=False)
    accounted: int = 0
    is_last: bool = False

    @property
    def end(self) -> int:
        """When the last window ends, in milliseconds from the start of the load."""
        return self.seconds[-1].end if self.seconds else self.first

    @property
    def is_first(self) -> bool:
        """Whether no window was sent before."""
        return self.first == 0

    @property
    def units(self) -> int:
        """The number of windows."""
        return len(self.seconds)

    @property
    def results(self) -> int:
        """The results that the account gains by this batch."""
        inside = sum(second.window.results for second in self.seconds)
        return max(0, self.before.results + inside - self.accounted) if self.seconds else 0

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to send."""
        return not self.seconds and not self.is_last

    @property
    def body_bytes(self) -> int:
        """The length of its histograms, which most of a body is made from."""
        windows = [second.window for second in self.seconds]
        return sum(len(one.duration.histogram) + len(one.iteration.histogram) for one in windows)

    @property
    def lines(self) -> list[bytes]:
        """The windows as lines of a timeline, without their newlines."""
        return [msgspec.json.encode(second.window) for second in self.seconds]

    @property
    def key(self) -> str:
        """The range as ``first-last`` millisecond, by which a repeat can be recognised."""
        return f"{self.first}-{self.end - 1}"

    def totals(self) -> Iterator[tuple[Second, Totals]]:
        """Yield each window and the totals up to its end, which change with the next one."""
        totals = self.before.copy()
        for second in self.seconds:
            totals.add(second.window)
            yield second, totals

    def halves(self) -> tuple[SecondsBatch, SecondsBatch]:
        """Split a batch of two windows or more."""
        return self.take(len(self.seconds) // 2)

    def take(self, windows: int) -> tuple[SecondsBatch, SecondsBatch]:
        """Split after a number of windows, less than all."""
        head = attrs.evolve(self, seconds=self.seconds[:windows], is_last=False)
        between = self.before.copy()
        for second in head.seconds:
            between.add(second.window)
        rest = attrs.evolve(
            self,
            first=head.end,
            seconds=self.seconds[windows:],
            before=between,
            accounted=self.accounted + head.results,
        )
        return head, rest
