"""The percentiles of a report's times, from the least to the greatest value."""

from __future__ import annotations

from fractions import Fraction

from goloagent.report.model import CountedLatency, Report

_TICKS = 6
"""Points each time that the distance to 100 % halves."""
_NS = 1e9
_METRICS = ("duration", "iteration", "service", "schedule_lag")


def spectrum(report: Report) -> dict[str, list[tuple[float, float]]]:
    """Return for each metric with a histogram points of a share, from 0 to 1, and its seconds."""
    known = {name: getattr(report.latency, name) for name in _METRICS}
    return {name: _points(latency) for name, latency in known.items() if _has_values(latency)}


def _has_values(latency: CountedLatency | None) -> bool:
    return latency is not None and latency.histogram is not None


def _points(latency: CountedLatency) -> list[tuple[float, float]]:
    shares = [0.0]
    while (1 - shares[-1]) * latency.count > 1:
        shares.append(1 - 2 ** (-len(shares) / _TICKS))
    values = latency.decoded().quantiles(*(Fraction(1000 * share) for share in shares))
    return [
        (float(f"{share:.9g}"), float(f"{value / _NS:.4g}"))
        for share, value in zip(shares, values, strict=True)
    ]
