"""The summary and the annotations of GitHub Actions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from goloagent.client.view.symbols import UNICODE
from goloagent.report import figures
from goloagent.report.checks import margin_of, value_of
from goloagent.report.figures import printable
from goloagent.report.junit import failures
from goloagent.report.model import Report

_MAX_TEXT = 200
_MAX_ERRORS = 10
_MAX_ANNOTATIONS = 10  # GitHub shows no more of a step
_LATENCY = ("min", "p50", "p90", "p95", "p99", "p999", "max")
_MARKDOWN = re.compile(r"[\\`*_\[\]|~#]")
_HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def publish(report: Report, environ: Mapping[str, str]) -> Iterator[str]:
    """Append the summary of a run to the job's page; yield lines to print.

    They are commands that mark what failed, and a note if the summary cannot be written. Outside
    of GitHub Actions there are none.
    """
    for sentence in failures(report)[:_MAX_ANNOTATIONS]:
        yield from annotation(report.name, sentence, environ)
    path = environ.get("GITHUB_STEP_SUMMARY")
    if path:
        try:
            with Path(path).open("a", encoding="utf-8", errors="backslashreplace") as file:
                file.write(to_markdown(report))
        except (OSError, ValueError) as error:
            yield f"the summary of GitHub Actions was not written: {path}: {error}"


def annotation(title: str, sentence: str, environ: Mapping[str, str]) -> Iterator[str]:
    """Yield the command that marks an error, in GitHub Actions."""
    if environ.get("GITHUB_ACTIONS") == "true":
        yield f"::error title={_property(printable(title))}::{_data(printable(sentence))}"


def to_markdown(report: Report) -> str:
    """Return the verdict, the thresholds, the latencies and the errors as Markdown."""
    return "\n".join(["", *_lines(report), ""])


def _lines(report: Report) -> Iterator[str]:
    outcome, verdict = report.outcome, report.verdict
    passed = verdict is not None and verdict.passed
    sentence = verdict.reason if verdict is not None else "There is no verdict."
    if outcome is not None:
        passed = outcome.exit_code == 0
        sentence = f"{outcome.sentence} Exit code {outcome.exit_code}: {outcome.meaning}."
    sign = UNICODE.passed if passed else UNICODE.failed
    yield f"### {sign} {_text(report.name)} {'passed' if passed else 'failed'}"
    yield ""
    if sentence:
        yield _text(sentence)
        yield ""
    if verdict is not None and verdict.checks:
        yield from _table("threshold", "value", "margin", "")
        for check in verdict.checks:
            name = f"{check.metric}: {check.threshold}"
            value = value_of(check.metric, check.threshold, check.value)
            margin = margin_of(check.metric, check.threshold, check.value)
            yield _row(name, value, margin, UNICODE.passed if check.passed else UNICODE.failed)
        yield ""
    yield from _latency(report)
    yield from _counts(report)


def _latency(report: Report) -> Iterator[str]:
    found = [(name, getattr(report.latency, name)) for name in ("duration", "iteration")]
    if any(latency for _, latency in found):
        yield from _table("", *(name.replace("p999", "p99.9") for name in _LATENCY))
        for name, latency in found:
            if latency is not None:
                yield _row(name, *(figures.seconds(getattr(latency, one)) for one in _LATENCY))
        yield ""


def _counts(report: Report) -> Iterator[str]:
    results, calls = report.results, report.calls
    rate = "" if report.rate is None else f" ({figures.rate(report.rate)})"
    share = figures.share(results.errors, results.valid)
    parts = [
        f"{figures.count(results.valid)} results{rate}",
        f"{figures.count(results.errors)} errors ({share})",
        f"{figures.count(calls.failed)} failed calls",
        f"{figures.count(calls.dropped)} dropped",
    ]
    yield _text(", ".join(parts))
    yield ""
    if report.errors:
        yield from _table("errors", "of", "message")
        for error in report.errors[:_MAX_ERRORS]:
            place = " ".join(filter(None, (error.method, error.url, str(error.status or ""))))
            yield _row(figures.count(error.count), place, error.message)
        yield ""
    for limit in report.limited[:_MAX_ERRORS]:
        span = f"{figures.duration(limit.begin)} to {figures.duration(limit.end)}"
        yield f"- {_text(f'The load generator was the limit from {span}: {limit.cause}.')}"


def _table(*heads: str) -> Iterator[str]:
    yield _row(*heads)
    yield "|---" * len(heads) + "|"


def _row(*cells: str) -> str:
    return f"| {' | '.join(_text(cell) for cell in cells)} |"


def _text(text: str) -> str:
    """Return a text that Markdown and HTML show as it is, on one line."""
    escaped = _MARKDOWN.sub(lambda found: f"\\{found[0]}", printable(text[:_MAX_TEXT]))
    return re.sub("[&<>]", lambda found: _HTML[found[0]], escaped)


def _data(text: str) -> str:
    """Return a text as the data of a workflow command."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    """Return a text as a property of a workflow command."""
    return _data(text).replace(":", "%3A").replace(",", "%2C")
