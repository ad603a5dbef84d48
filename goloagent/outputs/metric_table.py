"""The metrics of a run for metrics backends: names, units, and values of a window. Pure."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter

import attrs

from goloagent.core.stats.cumulative_histogram import CumulativeHistogram
from goloagent.core.timeline import LIMITS, Window
from goloagent.outputs.seconds import Totals


@attrs.frozen
class Counter:
    """A count since the start of the load; `unit` is of UCUM, as in OpenTelemetry."""

    name: str
    description: str
    value: Callable[[Totals], int]
    unit: str


@attrs.frozen
class Gauge:
    """A level at the end of a window, with one value for each of some `labels`."""

    name: str
    description: str
    values: Callable[[Window, str], dict[str, float]]
    label: str = ""
    unit: str = ""


@attrs.frozen
class Distribution:
    """A histogram of seconds since the start of the load."""

    name: str
    description: str
    value: Callable[[Totals], CumulativeHistogram]


COUNTERS = (
    Counter("calls.scheduled", "Calls that were due.", attrgetter("scheduled"), "{call}"),
    Counter("calls.started", "Calls that were made.", attrgetter("started"), "{call}"),
    Counter("calls.dropped", "Calls that were due and not made.", attrgetter("dropped"), "{call}"),
    Counter("calls.ok", "Calls without an error.", attrgetter("succeeded"), "{call}"),
    Counter("calls.failed", "Calls with an error.", attrgetter("failed"), "{call}"),
    Counter("results", "Results.", attrgetter("results"), "{result}"),
    Counter("result.errors", "Results that are errors.", attrgetter("errors"), "{result}"),
    Counter("result.bytes", "The sum of the results' sizes.", attrgetter("bytes"), "By"),
    Counter("lines.invalid", "Lines that are no results.", attrgetter("invalid"), "{line}"),
)
GAUGES = (
    Gauge(
        "planned",
        "The users, or iterations per second, that the load profile plans.",
        lambda window, model: {model: window.planned},
        "model",
    ),
    Gauge(
        "calls.in_flight",
        "Calls that have not returned.",
        lambda window, _: {"": window.in_flight},
    ),
    Gauge(
        "limited",
        "1 if the load generator was the limit, else 0.",
        lambda window, _: {cause: float(cause in window.limited) for cause in LIMITS},
        "cause",
    ),
)
DISTRIBUTIONS = (
    Distribution("duration", "The durations of results.", attrgetter("duration")),
    Distribution(
        "iteration",
        "The durations of calls, from the intended start.",
        attrgetter("iteration"),
    ),
)
