"""A timeline in the formats of the API: JSON, CSV, HdrHistogram's log, written window by window."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from enum import Enum
from itertools import chain
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from goloagent.core.stats.hdr import hlog
from goloagent.core.timeline import Times, Window, to_csv
from goloagent.http.api.resources import LimitedResource, limited_resources
from goloagent.jobs.job import Job
from goloagent.wal.timeline_reader import TimelineReader


class Metric(str, Enum):
    """The times: of the results, as they report them, or of the calls from their intended start."""

    DURATION = "duration"
    ITERATION = "iteration"


class TimesResource(Struct, frozen=True):
    """Percentiles in seconds, and their histogram of nanoseconds if it was requested."""

    p50: float
    p95: float
    p99: float
    max: float
    histogram: str | msgspec.UnsetType = msgspec.UNSET


class WindowResource(Struct, frozen=True):
    """An interval, usually a second, from `at` on, which is in seconds from the start of the load.

    scheduled = started + dropped; levels are those of its end; times are null if there are none.
    """

    at: float
    seconds: float
    planned: Annotated[float, Meta(description="users, or iterations per second")]
    scheduled: int
    started: int
    dropped: int
    succeeded: int
    failed: int
    in_flight: int
    max_in_flight: int
    results: int
    errors: int
    bytes: int
    invalid: int
    duration: TimesResource | None
    iteration: TimesResource | None
    limited: Annotated[tuple[str, ...], Meta(description="causes, see `limited` of the job")]


class TimelineResource(Struct, frozen=True):
    """A run, second by second; beyond an hour, the windows of its beginning are longer."""

    start: Annotated[datetime | None, Meta(description="of the load; null if that was damaged")]
    windows: list[WindowResource]
    changes: Annotated[list[dict[str, Any]], Meta(description="of the load, by PATCH")]
    limited: list[LimitedResource]
    complete: Annotated[bool, Meta(description="whether every second up to now has a window")]
    missing: Annotated[list[str], Meta(description="sentences about what is not there")]


_MEMBERS = [
    name for name in WindowResource.__struct_fields__ if name not in ("duration", "iteration")
]


def json_blocks(job: Job, reader: TimelineReader, histograms: bool) -> Iterator[bytes]:
    """Yield a TimelineResource, which is encoded window by window."""
    windows = reader.windows()
    first = next(windows, None)
    yield b'{"start": %b, "windows": [' % msgspec.json.encode(reader.start)
    if first is not None:
        yield msgspec.json.encode(window_resource(first, histograms))
    for window in windows:
        yield b",\n" + msgspec.json.encode(window_resource(window, histograms))
    yield b"], " + msgspec.json.encode(_rest(job, reader))[1:]


def read_timeline(job: Job, reader: TimelineReader) -> dict[str, Any]:
    """Return a TimelineResource with histograms as JSON's values.

    Raises:
        OSError: it cannot be read.
    """
    windows = [window_resource(window, True) for window in reader.windows()]
    members = {"start": reader.start, "windows": windows, **_rest(job, reader)}
    timeline: dict[str, Any] = msgspec.to_builtins(members)
    return timeline


def _rest(job: Job, reader: TimelineReader) -> dict[str, Any]:
    """Return the members after the windows, which were read."""
    missing = reader.missing(job.state.over)
    unseen = job.results.valid - reader.results if job.state.over else 0
    if unseen > 0:
        missing = [*missing, f"{unseen} results in out.log are in no window."]
    return {
        "changes": reader.changes,
        "limited": limited_resources(job),
        "complete": not missing,
        "missing": missing,
    }


def window_resource(window: Window, histograms: bool) -> WindowResource:
    """Return the resource of a window."""
    members = {name: getattr(window, name) for name in _MEMBERS}
    return WindowResource(
        duration=_times(window.duration, histograms),
        iteration=_times(window.iteration, histograms),
        **members,
    )


def _times(times: Times, histograms: bool) -> TimesResource | None:
    if not times.histogram:
        return None
    seconds = (times.p50 / 1e9, times.p95 / 1e9, times.p99 / 1e9, times.max / 1e9)
    return TimesResource(*seconds, times.histogram if histograms else msgspec.UNSET)


def csv_blocks(job: Job, reader: TimelineReader) -> Iterator[bytes]:
    """Yield a CSV table, with a row for each window."""
    return _encoded(to_csv(reader.windows()))


def hlog_blocks(job: Job, reader: TimelineReader, metric: Metric) -> Iterator[bytes]:
    """Yield a histogram log, without windows in which nothing was measured."""
    windows = reader.windows()
    first = next(windows, None)
    start = reader.start.timestamp() if reader.start else 0.0

    def intervals() -> Iterator[tuple[float, float, int, str]]:
        for window in chain([] if first is None else [first], windows):
            times: Times = getattr(window, metric.value)
            if times.histogram:
                yield window.at, window.seconds, times.max, times.histogram

    return _encoded(hlog(start, intervals()))


def _encoded(lines: Iterable[str]) -> Iterator[bytes]:
    return (line.encode() for line in lines)
