"""The report as JUnit XML, which CI systems show as tests.

It uses only the elements and attributes that Jenkins' xUnit plugin, GitLab and Ant's schema have in
common. GitLab shows the class name, the name, the time and the body of a failure, and ignores a
second test of the same name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timezone
from typing import NamedTuple
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from goloagent.core.verdict import Check
from goloagent.report.checks import value_of
from goloagent.report.model import DutyName, Report

DUTIES: dict[DutyName, str] = {
    "ready": "all agents became ready",
    "none-lost": "no agent was lost",
    "started-together": "the agents started together",
    "delivered": "every result was delivered",
    "generator-not-the-limit": "the load generator was not the limit",
}
"""The name of each duty's test."""

# The characters that XML 1.0 cannot express, not even as a reference.
_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class _Case(NamedTuple):
    """A test: it failed with a sentence, was skipped with one, or passed."""

    group: str
    name: str
    failure: str | None = None
    skipped: str | None = None
    seconds: float = 0.0


def to_junit(report: Report, hostname: str) -> bytes:
    """Return the thresholds, the duties and the verdict of a run as tests.

    Args:
        hostname: of the machine on which the client ran.
    """
    cases = [*_unique(_cases(report))]
    seconds = _seconds(report)
    totals = {
        "name": _text(report.name),
        "tests": str(len(cases)),
        "failures": str(sum(case.failure is not None for case in cases)),
        "errors": "0",
        "time": f"{seconds:.3f}",
    }
    root = Element("testsuites", totals)
    suite = SubElement(root, "testsuite", totals)
    suite.set("skipped", str(sum(case.skipped is not None for case in cases)))
    suite.set("hostname", _text(hostname))
    if report.started_at is not None:
        started = report.started_at.astimezone(timezone.utc)
        suite.set("timestamp", started.strftime("%Y-%m-%dT%H:%M:%S"))
    properties = SubElement(suite, "properties")
    for name, value in _properties(report):
        SubElement(properties, "property", name=_text(name), value=_text(value))
    for case in cases:
        suite.append(_element(report.name, case))
    ElementTree.indent(root)
    document: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return document


def failures(report: Report) -> list[str]:
    """Return the sentences of the thresholds and duties that failed, or why else a run failed."""
    failed = [(case.group, case.failure) for case in _cases(report) if case.failure is not None]
    named = [sentence for group, sentence in failed if group != "verdict"]
    return named or [sentence for _, sentence in failed]


def _cases(report: Report) -> Iterator[_Case]:
    for check in report.verdict.checks if report.verdict is not None else ():
        failure = None if check.passed else _broken(check)
        yield _Case("thresholds", f"{check.metric}: {check.threshold}", failure)
    for duty in report.duties:
        name = DUTIES.get(duty.name, duty.name)
        if duty.passed is None:
            yield _Case("duties", name, skipped=duty.sentence)
        else:
            yield _Case("duties", name, None if duty.passed else duty.sentence)
    yield _Case("verdict", "the run passed", _failure(report), seconds=_seconds(report))


def _failure(report: Report) -> str | None:
    """Return why a run failed; thresholds and duties are not all that can fail."""
    outcome, verdict = report.outcome, report.verdict
    if outcome is not None:
        if outcome.exit_code == 0:
            return None
        return f"{outcome.sentence} (exit code {outcome.exit_code}: {outcome.meaning})"
    if verdict is None:
        return "There is no verdict."
    return None if verdict.passed else verdict.reason or "The run failed."


def _broken(check: Check) -> str:
    value = value_of(check.metric, check.threshold, check.value)
    return f"Threshold {check.metric}: {check.threshold} does not hold: {value}."


def _unique(cases: Iterator[_Case]) -> Iterator[_Case]:
    """Yield the cases with a number behind each name that was there before."""
    used: set[tuple[str, str]] = set()
    for case in cases:
        name, number = case.name, 1
        while (case.group, name) in used:
            number += 1
            name = f"{case.name} ({number})"
        used.add((case.group, name))
        yield case._replace(name=name)


def _element(job: str, case: _Case) -> Element:
    element = Element("testcase", classname=_text(f"{job}.{case.group}"), name=_text(case.name))
    element.set("time", f"{case.seconds:.3f}")
    for tag, sentence in (("failure", case.failure), ("skipped", case.skipped)):
        if sentence is not None:
            child = SubElement(element, tag, message=_text(sentence))
            child.text = _text(sentence)
            if tag == "failure":
                child.set("type", case.group)
    return element


def _properties(report: Report) -> Iterator[tuple[str, str]]:
    yield "run", report.run
    yield "state", report.state
    if report.outcome is not None:
        yield "exit_code", str(report.outcome.exit_code)
    yield "results", str(report.results.valid)
    yield "errors", str(report.results.errors)
    if report.rate is not None:
        yield "results_per_second", f"{report.rate:.3f}"
    for name in ("duration", "iteration"):
        latency = getattr(report.latency, name)
        if latency is not None:
            for member in ("p50", "p95", "p99", "max"):
                yield f"{name}_{member}_seconds", f"{getattr(latency, member):.6f}"
    for agent in report.agents:
        yield "agent", f"{agent.agent} (golo-agent {agent.version})"
    for tag, value in report.tags.items():
        yield f"tag.{tag}", value


def _seconds(report: Report) -> float:
    if report.started_at is None or report.ended_at is None:
        return 0.0
    return max(0.0, (report.ended_at - report.started_at).total_seconds())


def _text(text: str) -> str:
    """Return a text without characters that XML cannot have, each as its escape."""
    return _ILLEGAL.sub(lambda found: ascii(found[0])[1:-1], text)
