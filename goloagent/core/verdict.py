"""The verdict of a run: each threshold compared with the figure that was measured."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import attrs
import msgspec

from goloagent.core.stats.histogram import Histogram
from goloagent.core.thresholds import Threshold

_NS = 1e9


@attrs.define
class Sample:
    """The values of which a figure is computed; a metric uses only the members of its kind.

    Attributes:
        seconds: how long it was observed.
        durations: in nanoseconds.
        count: of what is counted, or the sum of bytes.
        of: of how many a count is a share; None if it is no share.
        level: at the end; None if there was none.
        least: of the level at any moment.
        most: of the level at any moment.
    """

    seconds: float = 0.0
    durations: Histogram = attrs.field(factory=Histogram)
    count: int = 0
    of: int | None = None
    level: float | None = None
    least: float = 0.0
    most: float = 0.0


class Check(msgspec.Struct, frozen=True):
    """One threshold: whether it holds, and the figure, or null if there was no data.

    Times are in seconds, rates of errors in shares of 1, rates of all else per second.
    """

    metric: str
    threshold: str
    passed: bool
    value: float | None


class Verdict(msgspec.Struct, frozen=True, omit_defaults=False):
    """Whether a run passed.

    Attributes:
        code: for programs, what failed first; null if it passed.
        reason: a sentence for people; null if it passed.
        checks: the thresholds of the job.
        missing: what is not known, a sentence each.
    """

    passed: bool
    code: str | None = None
    reason: str | None = None
    checks: list[Check] = []
    missing: list[str] = []


def figure(threshold: Threshold, sample: Sample) -> float | None:
    """Return the figure of a threshold's aggregation; None is no data."""
    durations, aggregation = sample.durations, threshold.aggregation
    if sample.of == 0:
        return None
    if aggregation == "rate":
        whole = sample.seconds if sample.of is None else sample.of
        return sample.count / whole if whole else None
    if aggregation == "count":
        return float(sample.count or durations.count)
    if aggregation == "value":
        return sample.level
    if sample.level is not None:
        return sample.least if aggregation == "min" else sample.most
    if not durations.count:
        return None
    if aggregation == "avg":
        return durations.total / durations.count / _NS
    if aggregation in ("min", "max"):
        return (durations.minimum if aggregation == "min" else durations.maximum) / _NS
    percentile = Fraction("50" if aggregation == "med" else str(threshold.percentile))
    (value,) = durations.quantiles(percentile * 10)
    return value / _NS


def check(threshold: Threshold, sample: Sample | None, *, is_final: bool = True) -> Check:
    """Compare a threshold with what was observed; None is no data, which fails at the end only."""
    value = None if sample is None else figure(threshold, sample)
    passed = threshold.check(value) or (value is None and not is_final)
    return Check(*threshold.source, passed, value)


def sentence_of(thresholds: Sequence[Threshold], checks: Sequence[Check]) -> str:
    """Return the sentence of the first check that failed, with the number of the others."""
    failed = [
        (threshold, found)
        for threshold, found in zip(thresholds, checks, strict=True)
        if not found.passed
    ]
    threshold, first = failed[0]
    value = "no data" if first.value is None else shown(threshold, first.value)
    more = f", and {len(failed) - 1} more" if len(failed) > 1 else ""
    return f"Threshold {first.metric}: {first.threshold} does not hold ({value}){more}."


def shown(threshold: Threshold, value: float) -> str:
    """Return a figure with its unit."""
    if threshold.aggregation == "count":
        return f"{value:,.0f}"
    if threshold.kind == "duration":
        return f"{value * 1000:,.4g} ms" if value < 1 else f"{value:,.4g} s"
    if threshold.kind == "share":
        return f"{100 * value:.3g} %"
    unit = {"bytes": " B/s", "count": "/s"}.get(threshold.kind, "")
    return f"{value:,.4g}{unit if threshold.aggregation == 'rate' else ''}"
