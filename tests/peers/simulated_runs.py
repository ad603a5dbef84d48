"""Reports of simulated runs, whose level drifts as that of real systems does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from math import exp, sqrt
from random import Random
from typing import Any

from msgspec import structs, to_builtins

from goloagent.core.stats.histogram import Histogram
from goloagent.core.stats.summary import Latency
from goloagent.core.timeline import Times
from goloagent.report import windows
from goloagent.report.builder import build
from goloagent.report.model import Calls, CountedLatency, Latencies, Report
from peers.reports import part

SECONDS = 120
RATE = 40
RATE_NOISE = 4
DRIFT = 0.1
"""The standard deviation of the logarithm of the level."""

MEMORY_SECONDS = 15.0
NOISE = 0.3
MEDIAN_NS = 20e6
OVERHEAD_NS = 300_000
ERRORS = 0.01


def levels(random: Random, seconds: int) -> Iterator[float]:
    """Yield the level of each second: it drifts by `DRIFT` and forgets in `MEMORY_SECONDS`."""
    kept = exp(-1 / MEMORY_SECONDS)
    level = random.gauss(0, DRIFT)
    for _ in range(seconds):
        yield level
        level = kept * level + random.gauss(0, DRIFT * sqrt(1 - kept * kept))


def durations(random: Random, factor: float = 1.0, seconds: int = SECONDS) -> list[list[int]]:
    """Return the nanoseconds of the requests of each second, `factor` times as long."""
    return [
        [
            round(factor * MEDIAN_NS * random.lognormvariate(level, NOISE))
            for _ in range(RATE + random.randint(-RATE_NOISE, RATE_NOISE))
        ]
        for level in levels(random, seconds)
    ]


def simulated(
    random: Random, factor: float = 1.0, seconds: int = SECONDS, *, has_timeline: bool = False
) -> Report:
    """Return the report of a run."""
    return report_of(random, durations(random, factor, seconds), has_timeline=has_timeline)


def report_of(
    random: Random, times: Sequence[Sequence[int]], *, has_timeline: bool = False
) -> Report:
    """Return the report of a run whose requests had these durations in each second."""
    flat = [ns for second in times for ns in second]
    errors = [sum(random.random() < ERRORS for _ in second) for second in times]
    base = _base()
    return structs.replace(
        base,
        run=f"{random.getrandbits(64):016x}",
        rate=len(flat) / len(times),
        calls=Calls(scheduled=len(flat), started=len(flat), ok=len(flat)),
        results=structs.replace(base.results, read=len(flat), valid=len(flat), errors=sum(errors)),
        latency=Latencies(
            duration=_latency(flat), iteration=_latency([ns + OVERHEAD_NS for ns in flat])
        ),
        load=None,
        limited=[],
        changes=[],
        timeline=windows.merge([list(map(_window, range(len(times)), times, errors))])
        if has_timeline
        else [],
    )


@cache
def _base() -> Report:
    return build([part()])


def _latency(values: Sequence[int]) -> CountedLatency:
    latency = Latency.of(_histogram(values))
    assert latency is not None
    return CountedLatency(count=len(values), **structs.asdict(latency))


def _histogram(values: Sequence[int]) -> Histogram:
    histogram = Histogram()
    histogram.record(values)
    return histogram


def _window(at: int, values: Sequence[int], errors: int) -> dict[str, Any]:
    """Return a window as an agent shows it."""
    counts = dict.fromkeys(("scheduled", "started", "succeeded", "results"), len(values))
    zeros = dict.fromkeys(("dropped", "failed", "bytes", "invalid", "in_flight"), 0)
    times = {}
    for name, overhead in (("duration", 0), ("iteration", OVERHEAD_NS)):
        found = to_builtins(Times.of(_histogram([ns + overhead for ns in values])))
        times[name] = {
            key: value if key == "histogram" else value / 1e9 for key, value in found.items()
        }
    return {
        "at": at, "seconds": 1.0, "planned": 1.0, "max_in_flight": 1, "limited": [],
        "errors": errors, **counts, **zeros, **times,
    }  # fmt: skip
