"""The checks of thresholds: figures of every aggregation, their sentences, and no data."""

from __future__ import annotations

from typing import Any

import pytest

from goloagent.core.stats.histogram import Histogram
from goloagent.core.threshold_parser import parse
from goloagent.core.verdict import Sample, check, figure, sentence_of


def sample(*nanoseconds: int, **members: Any) -> Sample:
    """Return what was observed in ten seconds."""
    durations = Histogram()
    durations.record(nanoseconds)
    return Sample(seconds=10.0, durations=durations, **members)


CALLS = sample(*(number * 1_000_000 for number in range(1, 1001)))


@pytest.mark.parametrize(
    ("metric", "expression", "observed", "value"),
    [
        ("duration", "avg<1s", CALLS, 0.5005),
        ("duration", "min<1s", CALLS, 0.001),
        ("duration", "max<1s", CALLS, 1.0),
        ("duration", "med<1s", CALLS, 0.5),
        ("duration", "p(95)<1s", CALLS, 0.95),
        ("duration", "p(99.9)<1s", CALLS, 0.999),
        ("duration", "count>1", CALLS, 1000),
        ("errors", "rate<1%", sample(count=3, of=200), 0.015),
        ("errors", "count<9", sample(count=3, of=200), 3),
        ("errors", "count<9", sample(count=0, of=200), 0),
        ("results", "rate>1", sample(count=50), 5),
        ("results", "count>1", sample(count=50), 50),
        ("dropped", "count==0", sample(), 0),
        ("bytes", "rate>1", sample(count=1000, of=None), 100),
        ("in_flight", "value<9", sample(level=7, least=0, most=8), 7),
        ("in_flight", "min<9", sample(level=7, least=0, most=8), 0),
        ("in_flight", "max<9", sample(level=7, least=0, most=8), 8),
        ("duration", "avg<1s", sample(), None),
        ("duration", "p(95)<1s", sample(), None),
        ("errors", "rate<1%", sample(of=0), None),
        ("errors", "count<1", sample(of=0), None),
        ("results", "rate>1", Sample(), None),
        ("in_flight", "value<9", sample(), None),
    ],
)
def test_figures(metric: str, expression: str, observed: Sample, value: float | None) -> None:
    """Durations are in seconds; None is no data."""
    (threshold,) = parse({metric: expression})
    found = figure(threshold, observed)
    assert found == (value if value is None else pytest.approx(value, rel=0.001))


@pytest.mark.parametrize(
    ("metric", "expression", "observed", "value"),
    [
        ("duration", "p(95)<1ms", CALLS, "949.5 ms"),
        ("duration", "max<1ms", CALLS, "1 s)"),
        ("errors", "rate<1%", sample(count=3, of=200), "1.5 %"),
        ("errors", "count<1", sample(count=3000, of=200000), "3,000"),
        ("bytes", "rate<1", sample(count=1000), "100 B/s"),
        ("results", "rate>9", sample(count=50), "5/s"),
        ("in_flight", "max<1", sample(level=7, least=0, most=8), "8"),
        ("duration", "avg<1s", sample(), "no data"),
    ],
)
def test_the_sentence_of_a_check(
    metric: str, expression: str, observed: Sample, value: str
) -> None:
    """It quotes the threshold, and has the figure with its unit."""
    thresholds = parse({metric: expression})
    checks = [check(thresholds[0], observed)]
    assert not checks[0].passed
    sentence = sentence_of(thresholds, checks)
    assert sentence.startswith(f"Threshold {metric}: {expression} does not hold ({value}")


def test_the_sentence_of_several_checks() -> None:
    """It names the first that failed and counts the others."""
    thresholds = parse({"duration": ["count>1", "avg<1ms", "max<1ms"]})
    checks = [check(threshold, CALLS) for threshold in thresholds]
    assert sentence_of(thresholds, checks).endswith("ms), and 1 more.")


def test_no_data_until_the_end() -> None:
    """No data fails, but not while the run goes on."""
    (threshold,) = parse({"duration": "avg<1s"})
    assert not check(threshold, sample()).passed
    assert not check(threshold, None).passed
    assert check(threshold, sample(), is_final=False).passed
