"""Thresholds: their grammar, their units, and when one holds."""

from __future__ import annotations

from typing import Any

import pytest

from goloagent.core.threshold_parser import InvalidThreshold, parse
from goloagent.core.thresholds import Selector, Threshold


def only(metric: str, expression: object) -> Threshold:
    """Return the threshold of one expression."""
    (threshold,) = parse({metric: [expression]})
    return threshold


@pytest.mark.parametrize(
    ("metric", "expression", "limit", "holds", "fails"),
    [
        ("duration", "p(95)<250ms", 0.25, 0.249, 0.25),
        ("duration", "p(99.9) <= 1.5s", 1.5, 1.5, 1.51),
        ("duration", "avg<200", 0.2, 0.1, 0.3),
        ("http_req_duration", "med<1s", 1, 0.9, 1),
        ("iteration", "max<2m", 120, 1, 121),
        ("iteration_duration", "min>1ms", 0.001, 0.002, 0.001),
        ("service", "count>=10", 10, 10, 9),
        ("schedule_lag", "p(99)<2ms", 0.002, 0.001, 0.003),
        ("errors", "rate<1%", 0.01, 0.009, 0.01),
        ("http_req_failed", "rate<0.01", 0.01, 0, 1),
        ("errors", "count==0", 0, 0, 1),
        ("http_reqs", "rate>100", 100, 101, 100),
        ("results", "rate>100/s", 100, 101, 100),
        ("iterations", "count>=10000", 10_000, 10_000, 9_999),
        ("dropped_iterations", "count===0", 0, 0, 1),
        ("invalid", "count!=1", 1, 0, 1),
        ("undelivered", "count<1", 1, 0, 1),
        ("bytes", "count<10MB", 10_000_000, 1, 10_000_000),
        ("bytes", "rate>1KiB/s", 1024, 1025, 1024),
        ("vus", "max<=5", 5, 5, 6),
        ("agents_lost", "value<1", 1, 0, 1),
        ("limited", "value<=3s", 3, 3, 4),
    ],
)
def test_a_figure_holds_or_fails(
    metric: str, expression: str, limit: float, holds: float, fails: float
) -> None:
    """Each metric has a passing and a failing case; no data fails."""
    threshold = only(metric, expression)
    assert threshold.limit == pytest.approx(limit)
    assert (threshold.check(holds), threshold.check(fails), threshold.check(None)) == (
        True,
        False,
        False,
    )


@pytest.mark.parametrize(
    ("long", "abort", "delay", "over"),
    [
        ({}, False, 0, None),
        ({"abort": True, "delay": 10, "over": "1m"}, True, 10, 60),
        ({"abortOnFail": True, "delayAbortEval": "10s"}, True, 10, None),
    ],
)
def test_the_long_form(long: dict[str, Any], abort: bool, delay: float, over: float | None) -> None:
    """Its members have the names of k6 too."""
    threshold = only("errors", {"threshold": "rate<1%", **long})
    assert (threshold.abort, threshold.delay, threshold.over) == (abort, delay, over)


@pytest.mark.parametrize(
    ("patterns", "selected"),
    [
        ("", True),
        ("url:/cart", False),
        ("url:/cart*", True),
        ("status:5*", True),
        ("status:50?,method:GET", True),
        ("method:POST, url:*", False),
        ("url:/CART*", False),
    ],
)
def test_selectors(patterns: str, selected: bool) -> None:
    """All patterns must match the whole member."""
    name = f"errors{{{patterns}}}" if patterns else "errors"
    assert (
        only(name, "rate<1%").selector.matches(url="/cart?id=1", method="GET", status=503)
        is selected
    )


def test_a_bracket_in_a_selector() -> None:
    """It stands for itself, as in the URL of an IPv6 host."""
    selector = only("errors{url:http://[::1]:80/a[b]*}", "rate<1%").selector
    assert selector.matches(url="http://[::1]:80/a[b]/c", method="GET", status=200)
    assert not selector.matches(url="http://::80/ab", method="GET", status=200)


def test_a_single_expression_needs_no_list() -> None:
    """A text or an object stands for a list of one; selectors are values."""
    short, long = parse({"duration{url:/a}": "max<1s", "errors": {"threshold": "count<1"}})
    assert (short.selector, long.selector) == (Selector((("url", "/a"),)), Selector())


@pytest.mark.parametrize(
    ("name", "expression", "sentence"),
    [
        ("speed", "p(95)<1", "use one of duration, iteration"),
        ("duration{", "p(95)<1", "has no known metric"),
        ("iteration{url:/a}", "max<1s", "only duration, errors, results, bytes take a selector"),
        ("errors{tag:a}", "rate<1%", "a selector is {url:PATTERN,method:PATTERN,status:PATTERN}"),
        ("errors{url}", "rate<1%", "a selector is {url:PATTERN,method:PATTERN,status:PATTERN}"),
        ("duration", "p95<1", 'is not of the form "p(95)<250ms"'),
        ("duration", "p(101)<1", "a percentile is from 0 to 100"),
        ("duration", "max(9)<1", "duration has avg, min, med, max, count, p(N)"),
        ("duration", "q(9)<1", "duration has avg, min, med, max, count, p(N)"),
        ("duration", "rate<1", "duration has avg, min, med, max, count, p(N)"),
        ("duration", "max<1MB", "use ms, s, m or h"),
        ("errors", "rate<1s", "use % or a number from 0 to 1"),
        ("errors", "count<1%", '"%" is no unit of it'),
        ("results", "count>1s", '"s" is no unit of it'),
        ("bytes", "count<1Mb", "use B, kB, MB, GB, KiB, MiB, GiB"),
        ("duration", 250, 'is not of the form "p(95)<250ms"'),
        ("errors", {"threshold": "rate<1%", "when": 1}, "use threshold, abort, delay, over"),
        ("errors", {"abort": True}, 'is not of the form "rate<1%"'),
        ("errors", {"threshold": "rate<1%", "abort": 1}, "abort must be true or false"),
        ("errors", {"threshold": "rate<1%", "delay": "soon"}, '"soon" is not a duration'),
        ("errors", {"threshold": "rate<1%", "delay": None}, "delay must be a duration"),
        ("errors", {"threshold": "rate<1%", "over": 0.5}, "over must be at least 1 s"),
        ("errors", {"threshold": "rate<1%", "over": True}, "over"),
    ],
)
def test_an_invalid_threshold_has_its_sentence(
    name: str, expression: object, sentence: str
) -> None:
    """The message quotes the threshold and says what is allowed."""
    with pytest.raises(InvalidThreshold) as refusal:
        only(name, expression)
    assert sentence in str(refusal.value)


@pytest.mark.parametrize("expressions", [[], 1, None])
def test_what_is_no_list_of_expressions(expressions: object) -> None:
    """The message has an example for the metric."""
    with pytest.raises(InvalidThreshold, match=r'needs a list such as \["rate<1%"\]'):
        parse({"errors": expressions})


def test_too_many() -> None:
    """Evaluating them each second stays cheap."""
    with pytest.raises(InvalidThreshold, match="at most 200 are allowed"):
        parse({"duration": ["max<1s"] * 201})


def test_over_is_bounded_over_all_metrics() -> None:
    """Each second of it is added up again every second; expressions of one metric share it."""
    minute = [{"threshold": f"p({number})<1s", "over": 60} for number in range(90)]
    assert len(parse({"duration": minute, "iteration": minute})) == 180
    with pytest.raises(InvalidThreshold, match="adds up to 1260 s: at most 1200 s"):
        parse({f"duration{{url:/{number}}}": minute[:1] for number in range(21)})
