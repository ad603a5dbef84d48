"""Reads thresholds, in the grammar of k6 with units, before anything runs.

``{"duration{url:/cart*}": ["p(95)<250ms"], "errors": ["rate<1%"]}``
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from goloagent.core.duration import parse_duration
from goloagent.core.thresholds import METRICS, Kind, Selector, Threshold

MAX_THRESHOLDS = 200
MAX_OVER_SECONDS = 600
# Of all different metrics and selectors: each second they are added up, at about 25 µs each.
MAX_OVER_TOTAL = 1_200
_K6_NAMES = {
    "http_req_duration": "duration",
    "iteration_duration": "iteration",
    "http_req_failed": "errors",
    "http_reqs": "results",
    "dropped_iterations": "dropped",
    "data_received": "bytes",
    "vus": "in_flight",
}
_AGGREGATIONS: dict[Kind, tuple[str, ...]] = {
    "duration": ("avg", "min", "med", "max", "count", "p(N)"),
    "share": ("rate", "count"),
    "count": ("count", "rate"),
    "bytes": ("count", "rate"),
    "level": ("value", "min", "max", "count"),
}
# Metrics of results, which have a URL, a method and a status; the others are of the whole run.
_SELECTABLE = ("duration", "errors", "results", "bytes")
SELECTORS = ("url", "method", "status")
_METRIC = re.compile(r"\s*(\w+)\s*(?:\{(.*)\})?\s*", re.ASCII | re.DOTALL)
_EXPRESSION = re.compile(
    r"\s*(?P<name>[a-z]+)\s*(?:\(\s*(?P<percentile>\d{1,30}(?:\.\d{1,30})?)\s*\))?"
    r"\s*(?P<operator><=|>=|===|==|!=|<|>)\s*(?P<number>-?\d{1,30}(?:\.\d{1,30})?)\s*(?P<unit>[A-Za-z%/]*)\s*",
    re.ASCII,
)
_BYTES = {"": 1, "B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


class InvalidThreshold(ValueError):
    """A threshold is wrong; the message quotes it and says what is allowed."""


def parse(thresholds: Mapping[str, Any]) -> tuple[Threshold, ...]:
    """Read the member ``thresholds`` of a job.

    Raises:
        InvalidThreshold: a metric, selector, aggregation, operator or unit is unknown.
    """
    found = []
    for name, expressions in thresholds.items():
        metric, selector = _metric(name)
        if isinstance(expressions, str | Mapping):
            expressions = [expressions]
        if not isinstance(expressions, Sequence) or not expressions:
            raise InvalidThreshold(
                f'threshold "{name[:80]}" needs a list such as ["{_example(metric)}"]'
            )
        found += [_threshold(name, metric, selector, expression) for expression in expressions]
    if len(found) > MAX_THRESHOLDS:
        raise InvalidThreshold(f"{len(found)} thresholds: at most {MAX_THRESHOLDS} are allowed")
    over = sum(seconds for *_, seconds in {(o.metric, o.selector, o.over or 0) for o in found})
    if over > MAX_OVER_TOTAL:
        raise InvalidThreshold(
            f"over of all metrics and selectors adds up to {over:g} s:"
            f" at most {MAX_OVER_TOTAL} s are allowed"
        )
    return tuple(found)


def _metric(name: str) -> tuple[str, Selector]:
    matched = _METRIC.fullmatch(name)
    metric = _K6_NAMES.get(matched[1], matched[1]) if matched else ""
    if not matched or metric not in METRICS:
        raise InvalidThreshold(
            f'threshold "{name[:80]}" has no known metric: use one of {", ".join(METRICS)}'
        )
    if matched[2] is None:
        return metric, Selector()
    if metric not in _SELECTABLE:
        raise InvalidThreshold(
            f'threshold "{name[:80]}": {metric} is of the whole run; only '
            f"{', '.join(_SELECTABLE)} take a selector"
        )
    return metric, Selector(tuple(_pattern(name, part) for part in matched[2].split(",")))


def _pattern(name: str, part: str) -> tuple[str, str]:
    key, colon, pattern = part.partition(":")
    if not colon or key.strip() not in SELECTORS or not pattern.strip():
        raise InvalidThreshold(
            f'threshold "{name[:80]}": a selector is {{url:PATTERN,method:PATTERN,status:PATTERN}}'
        )
    return key.strip(), pattern.strip()


def _threshold(name: str, metric: str, selector: Selector, expression: object) -> Threshold:
    options: Mapping[str, Any] = {}
    if isinstance(expression, Mapping):
        options, expression = expression, expression.get("threshold")
    matched = _EXPRESSION.fullmatch(expression) if isinstance(expression, str) else None
    if not matched:
        raise InvalidThreshold(
            f'threshold {_quote((name, str(expression)))} is not of the form "{_example(metric)}"'
        )
    kind, aggregation = METRICS[metric], matched["name"]
    source = (name, str(expression))
    percentile = float(matched["percentile"] or 0)
    spelled = "p(N)" if matched["percentile"] else aggregation
    if spelled not in _AGGREGATIONS[kind] or (matched["percentile"] and aggregation != "p"):
        raise InvalidThreshold(
            f"threshold {_quote(source)}: {metric} has {', '.join(_AGGREGATIONS[kind])}"
        )
    if percentile > 100:
        raise InvalidThreshold(f"threshold {_quote(source)}: a percentile is from 0 to 100")
    return Threshold(
        source=source,
        metric=metric,
        selector=selector,
        aggregation=aggregation,
        percentile=percentile,
        operator=matched["operator"],
        limit=_limit(source, kind, aggregation, matched["number"], matched["unit"]),
        **_options(source, options),
    )


def _limit(source: tuple[str, str], kind: Kind, aggregation: str, number: str, unit: str) -> float:
    """Return the number in the metric's own unit."""
    value = float(number)
    if kind == "duration" and aggregation != "count":
        if not unit:
            return value / 1000  # as in k6
        try:
            return parse_duration(number + unit)
        except ValueError:
            raise InvalidThreshold(f"threshold {_quote(source)}: use ms, s, m or h") from None
    if kind == "share" and aggregation == "rate":
        if unit not in ("", "%"):
            raise InvalidThreshold(f"threshold {_quote(source)}: use % or a number from 0 to 1")
        return value / 100 if unit else value
    unit = unit.removesuffix("/s") if aggregation == "rate" else unit
    if kind == "bytes":
        if unit not in _BYTES:
            raise InvalidThreshold(f"threshold {_quote(source)}: use {', '.join(_BYTES)[2:]}")
        return value * _BYTES[unit]
    if unit and (unit, source[0].strip()) != ("s", "limited"):
        raise InvalidThreshold(f'threshold {_quote(source)}: "{unit}" is no unit of it')
    return value


def _options(source: tuple[str, str], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the long form's members, k6's names included."""
    names = {"abortOnFail": "abort", "delayAbortEval": "delay"}
    given = {names.get(name, name): value for name, value in options.items()}
    unknown = sorted(set(given) - {"threshold", "abort", "delay", "over"})
    if unknown:
        raise InvalidThreshold(
            f"threshold {_quote(source)}: {unknown[0][:40]} is not known: "
            "use threshold, abort, delay, over"
        )
    given.pop("threshold", None)
    if not isinstance(given.get("abort", False), bool):
        raise InvalidThreshold(f"threshold {_quote(source)}: abort must be true or false")
    for member in ("delay", "over"):
        if member in given:
            given[member] = _seconds(source, member, given[member])
    return given


def _seconds(source: tuple[str, str], member: str, value: object) -> float:
    try:
        seconds = parse_duration(str(value)) if isinstance(value, str | int | float) else -1.0
    except ValueError as error:
        raise InvalidThreshold(f"threshold {_quote(source)}: {member}: {error}") from None
    if isinstance(value, bool) or seconds < (1 if member == "over" else 0):
        least = "at least 1 s" if member == "over" else "a duration"
        raise InvalidThreshold(f"threshold {_quote(source)}: {member} must be {least}")
    if member == "over" and seconds > MAX_OVER_SECONDS:
        raise InvalidThreshold(
            f"threshold {_quote(source)}: over must be at most {MAX_OVER_SECONDS} s"
        )
    return seconds


def _quote(source: tuple[str, str]) -> str:
    return f'"{source[0][:80]}: {source[1][:80]}"'


def _example(metric: str) -> str:
    examples: dict[Kind, str] = {
        "duration": "p(95)<250ms",
        "share": "rate<1%",
        "count": "count>1000",
        "bytes": "count<10MB",
        "level": "max<100",
    }
    return examples[METRICS[metric]]
