"""The figures of a report: tiles, and the percentiles of all times."""

from __future__ import annotations

from collections.abc import Iterator

from goloagent.report import figures
from goloagent.report.deliveries import is_named, totals
from goloagent.report.markup import Markup, head, table, tag
from goloagent.report.model import CountedLatency, Report
from goloagent.report.plan import is_open, run_seconds

_PERCENTILES = ("min", "mean", "p50", "p90", "p95", "p99", "p999", "max")
_NAMES = {
    "duration": ("duration", "of results, as the load test reports them"),
    "iteration": ("iteration", "calls from their planned start to the return"),
    "service": ("service", "calls from their sending to the return"),
    "schedule_lag": ("schedule lag", "calls from their planned start to the sending"),
}


def tiles(report: Report) -> Markup:
    """Return the figures of the run."""
    return tag("dl", *_tiles(report), class_="tiles", aria_label="Figures of the run")


def latencies(report: Report) -> Markup:
    """Return the percentiles of results and calls."""
    known = {name: getattr(report.latency, name) for name in _NAMES}
    rows = [_latency(name, found) for name, found in known.items() if found is not None]
    if not rows:
        return tag("p", "No latency was measured.", class_="muted")
    names = ["p99.9" if name == "p999" else name for name in _PERCENTILES]
    heads = [head("Time"), *(head(name, class_="number") for name in ["values", *names])]
    return table(heads, rows, "Percentiles of times")


def _tiles(report: Report) -> Iterator[Markup]:
    calls, results, seconds = report.calls, report.results, run_seconds(report)
    latency = report.latency.duration or report.latency.iteration
    if report.drive != "self":
        each = f"{figures.rate(calls.started / seconds)} · " if seconds else ""
        note = f"{each}{figures.count(calls.scheduled)} scheduled"
        yield _tile("Calls started", figures.count(calls.started), note)
    if latency is not None:
        of = "results" if report.latency.duration else "calls"
        note = f"p50 {figures.seconds(latency.p50)} · p99 {figures.seconds(latency.p99)}"
        yield _tile(f"p95 of {of}", figures.seconds(latency.p95), note)
    failed = calls.failed + results.errors
    share = max(
        (results.errors, results.valid),
        (calls.failed, calls.ok + calls.failed),
        key=lambda pair: pair[0] / pair[1] if pair[1] else 0,
    )
    errors, failures = figures.count(results.errors), figures.count(calls.failed)
    note = f"{errors} error results · {failures} failed calls"
    yield _tile("Errors", figures.share(*share), note, "bad" if failed else None)
    if is_open(report):
        note = f"{figures.share(calls.dropped, calls.scheduled)} of scheduled calls"
        level = "warn" if calls.dropped else None
        yield _tile("Dropped calls", figures.count(calls.dropped), note, level)
    if report.drive != "self":
        most = max((window.max_in_flight for window in report.timeline), default=None)
        note = f"{figures.count(calls.in_flight)} at the end"
        yield _tile("Most in flight", "-" if most is None else figures.count(most), note)
    each = f"{figures.rate(report.rate)} · " if report.rate else ""
    yield _tile("Results", figures.count(results.valid), f"{each}{figures.size(results.bytes)}")
    yield _delivered(report)


def _delivered(report: Report) -> Markup:
    found = totals(report)
    if not found:
        return _tile("Delivered", "-", "no output: results stay in the log")
    has_names = is_named(output.name for output in found)
    parts = [
        f"{output.name}: {output.rest}" if has_names else output.rest
        for output in found
        if output.rest
    ]
    level = "warn" if parts else None
    everywhere = f"all of them, to {len(found)} outputs" if len(found) > 1 else "all of them"
    least = min(output.delivered for output in found)
    return _tile("Delivered", figures.count(least), " · ".join(parts) or everywhere, level)


def _tile(label: str, value: str, note: str, level: str | None = None) -> Markup:
    return tag(
        "div",
        tag("dt", label),
        tag("dd", value),
        tag("dd", note, class_="note"),
        class_=f"tile {level}" if level else "tile",
    )


def _latency(name: str, found: CountedLatency) -> Markup:
    label, meaning = _NAMES[name]
    cells = [figures.count(found.count)]
    cells += [figures.seconds(getattr(found, percentile)) for percentile in _PERCENTILES]
    return tag(
        "tr",
        tag("th", label, " ", tag("span", meaning, class_="small muted meaning"), scope="row"),
        *(tag("td", cell, class_="number") for cell in cells),
    )
