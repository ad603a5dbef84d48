"""The timeline of a run: one window a second with all that was planned, done and measured in it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

import msgspec

from goloagent.core.stats.hdr import decode, encode
from goloagent.core.stats.histogram import Histogram

MAX_WINDOWS = 3_600
"""Windows that are stored of a run; beyond an hour, those of its beginning are merged."""

LIMITS = (
    "agent-cpu", "loadtest-cpu", "loop-lag", "schedule-lag", "cpu-steal",
    "descriptors", "ports", "stdout-blocked", "memory-pressure",
)  # fmt: skip
"""All causes for which the load generator can be the limit in a window."""

VERSION = 1
"""The version of the file's format."""


class Times(msgspec.Struct, frozen=True, omit_defaults=True):
    """Percentiles in nanoseconds, and the histogram they are of as HdrHistogram V2 in base64."""

    p50: int = 0
    p95: int = 0
    p99: int = 0
    max: int = 0
    histogram: str = ""

    @classmethod
    def of(cls, histogram: Histogram) -> Times:
        """Return those of a histogram."""
        if not histogram.count:
            return cls()
        p50, p95, p99 = histogram.quantiles(500, 950, 990)
        return cls(p50, p95, p99, histogram.maximum, encode(histogram))

    def merged(self, other: Times) -> Times:
        """Return those of all values of both."""
        if not (self.histogram and other.histogram):
            return self if self.histogram else other
        histogram = decode(self.histogram)
        histogram.merge(decode(other.histogram))
        both = Times.of(histogram)
        # The maximum is exact, and a histogram of buckets is not.
        return msgspec.structs.replace(both, max=max(self.max, other.max))


class Window(msgspec.Struct, frozen=True, omit_defaults=True):
    """The counts, levels and times of one interval.

    Attributes:
        at: when it begins, in seconds from the start of the load.
        seconds: how long it is.
        planned: users, or iterations per second, that the profile has at its end.
        scheduled: iterations that were started or dropped; the others count those.
        succeeded: calls that returned without an error.
        in_flight: calls at its end.
        max_in_flight: the most calls at any moment of it.
        duration: of the results.
        iteration: of the calls, from the intended start.
        limited: the causes for which the generator was the limit.
    """

    at: float
    seconds: float
    planned: float = 0.0
    scheduled: int = 0
    started: int = 0
    dropped: int = 0
    succeeded: int = 0
    failed: int = 0
    in_flight: int = 0
    max_in_flight: int = 0
    results: int = 0
    errors: int = 0
    bytes: int = 0
    invalid: int = 0
    duration: Times = Times()
    iteration: Times = Times()
    limited: tuple[str, ...] = ()


_COUNTS = (
    "scheduled", "started", "dropped", "succeeded", "failed",
    "results", "errors", "bytes", "invalid",
)  # fmt: skip
_TIMES = ("duration", "iteration")
_COLUMNS = (
    "at", "seconds", "planned", *_COUNTS, "in_flight", "max_in_flight",
    *(f"{times}_{name}_ms" for times in _TIMES for name in ("p50", "p95", "p99", "max")),
    "limited",
)  # fmt: skip


def merge(first: Window, second: Window) -> Window:
    """Return one window in the place of two that follow each other."""
    merged = {name: getattr(first, name) + getattr(second, name) for name in _COUNTS}
    for name in _TIMES:
        merged[name] = getattr(first, name).merged(getattr(second, name))
    return Window(
        at=first.at,
        seconds=second.at + second.seconds - first.at,
        planned=second.planned,
        in_flight=second.in_flight,
        max_in_flight=max(first.max_in_flight, second.max_in_flight),
        limited=tuple(sorted({*first.limited, *second.limited})),
        **merged,
    )


def thin(windows: Iterable[Window], seconds: float) -> Iterator[Window]:
    """Yield fewer windows: each of those that follow each other and have `seconds` together."""
    merged: Window | None = None
    for window in windows:
        if merged is None:
            merged = window
        elif window.at + window.seconds - merged.at <= seconds * 1.1:
            merged = merge(merged, window)
        else:
            yield merged
            merged = window
    if merged is not None:
        yield merged


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of a timeline's file, which has one of these.

    Attributes:
        version: of the format, in the first line, with the `start` of the load.
        window: the windows are in the order of time.
        change: of the load while it ran, with ``at`` in seconds from the start.
        missing: a sentence about windows or changes that could not be written.
        closed: the run has ended and nothing follows.
    """

    version: int = 0
    start: datetime | None = None
    window: Window | None = None
    change: dict[str, Any] | None = None
    missing: str = ""
    closed: bool = False


def encode_line(line: Line) -> bytes:
    """Return a line of a timeline's file."""
    return msgspec.json.encode(line) + b"\n"


def decode_line(line: bytes) -> Line | None:
    """Return a line of a timeline's file, or None if it is cut, damaged or of another version."""
    try:
        decoded = _decoder.decode(line) if line.endswith(b"\n") else None
    except (msgspec.DecodeError, RecursionError):
        return None
    return None if decoded is None or decoded.version > VERSION else decoded


_decoder = msgspec.json.Decoder(Line)


def to_csv(windows: Iterable[Window]) -> Iterator[str]:
    """Yield the lines of a CSV table with a header; times are in milliseconds."""
    yield ",".join(_COLUMNS) + "\r\n"
    for window in windows:
        row: list[object] = [window.at, window.seconds, window.planned]
        row += [getattr(window, name) for name in _COUNTS]
        row += [window.in_flight, window.max_in_flight]
        for name in _TIMES:
            times: Times = getattr(window, name)
            row += [f"{ns / 1e6:.3f}" for ns in (times.p50, times.p95, times.p99, times.max)]
        text = io.StringIO()
        csv.writer(text).writerow([*row, " ".join(window.limited)])
        yield text.getvalue()
