"""Spans of time in which something held, such as a limit of the load generator."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

MAX_SPANS = 1_000


@attrs.frozen
class Span:
    """From `begin` to `end`, in seconds from the start of the load."""

    cause: str
    begin: float
    end: float


class Spans:
    """The spans of each cause, in order; one that goes on within `gap` seconds is one span.

    Beyond `MAX_SPANS` the last span of a cause grows over what is between.
    """

    def __init__(self, gap: float = 0.0) -> None:
        self._gap = gap
        self._last: dict[str, int] = {}  # the place of each cause's last span in `all`
        self.all: list[Span] = []

    def add(self, causes: Iterable[str], begin: float, end: float) -> list[Span]:
        """Note that causes held in an interval after all others; return the spans that are new."""
        new = []
        for cause in causes:
            place = self._last.get(cause)
            last = None if place is None else self.all[place]
            is_full = len(self.all) >= MAX_SPANS
            if (
                place is not None
                and last is not None
                and (is_full or begin - last.end <= self._gap)
            ):
                self.all[place] = attrs.evolve(last, end=end)
            elif not is_full:
                self._last[cause] = len(self.all)
                self.all.append(Span(cause, begin, end))
                new.append(self.all[-1])
        return new


def seconds_of(spans: Iterable[Span]) -> float:
    """Return for how long at least one cause held."""
    total, until = 0.0, 0.0
    for span in sorted(spans, key=lambda one: one.begin):
        total += max(0.0, span.end - max(span.begin, until))
        until = max(until, span.end)
    return total
