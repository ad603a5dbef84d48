"""JUnit, read as Jenkins, GitLab and junitparser do."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from functools import cache
from pathlib import Path
from typing import Any

import junitparser
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree
from msgspec import structs
from peers.reports import part

from goloagent.core.verdict import Check, Verdict
from goloagent.report.builder import build
from goloagent.report.junit import DUTIES, to_junit
from goloagent.report.model import Duty, Outcome, Report

PASSED = Outcome(0, "the run passed", "It ran to its end.")
FAILED = Outcome(99, "a threshold failed", "Threshold errors: rate<1% does not hold (2 %).")


@cache
def schema() -> Any:
    """Return the schema of the XML that all readers accept."""
    return etree.XMLSchema(file=str(Path(__file__).parents[2] / "vectors" / "junit.xsd"))


def report(**members: Any) -> Report:
    """Return a real report with other members."""
    return structs.replace(build([part()], outcome=PASSED), **members)


def read(found: Report) -> junitparser.TestSuite:
    """Check the document against the schema; return its suite."""
    document = to_junit(found, "ci-7")
    schema().assertValid(etree.fromstring(document))
    (suite,) = junitparser.JUnitXml.fromstring(document)
    return suite


def test_thresholds_duties_and_the_verdict_are_tests() -> None:
    """Each has a class and a name; a failure has its sentence as message and as body."""
    duties = [
        Duty("ready", True, "1 agent became ready."),
        Duty("started-together", None, "There is one agent."),
        Duty("delivered", False, "12 results are pending."),
    ]
    suite = read(report(duties=duties, outcome=FAILED))
    assert (suite.tests, suite.failures, suite.errors, suite.skipped) == (8, 3, 0, 1)
    cases = {(case.classname, case.name): case.result for case in suite}
    assert [*cases][:2] == [
        ("shop.thresholds", "duration: p(95)<250ms"),
        ("shop.thresholds", "duration: p(99)<20ms"),
    ]
    (broken,) = cases["shop.thresholds", "duration: p(99)<20ms"]
    sentence = "Threshold duration: p(99)<20ms does not hold: 89.06 ms."
    assert (broken.message, broken.text, broken.type) == (sentence, sentence, "thresholds")
    assert cases["shop.thresholds", "errors: rate<5%"] == []
    assert cases["shop.duties", DUTIES["ready"]] == []
    (skipped,) = cases["shop.duties", DUTIES["started-together"]]
    assert isinstance(skipped, junitparser.Skipped)
    (undelivered,) = cases["shop.duties", DUTIES["delivered"]]
    assert undelivered.text == "12 results are pending."
    (verdict,) = cases["shop.verdict", "the run passed"]
    assert "does not hold (2 %). (exit code 99: a threshold failed)" in verdict.message


def test_the_suite_says_when_and_where() -> None:
    """It has the time, the moment in UTC without a zone, the host and the figures of the run."""
    east = timezone(timedelta(hours=9))
    started = datetime(2026, 12, 1, 18, 0, 5, 999, tzinfo=east)
    suite = read(report(started_at=started, ended_at=started + timedelta(seconds=90.5)))
    assert (suite.time, suite.timestamp, suite.hostname) == (90.5, "2026-12-01T09:00:05", "ci-7")
    properties = {one.name: one.value for one in suite.properties()}
    assert properties["results"] == "1955"
    assert properties["duration_p95_seconds"] == "0.061899"
    assert properties["tag.release"] == "1.4.2"
    assert sum(case.time for case in suite) == 90.5


def test_duplicates_have_names_of_their_own() -> None:
    """GitLab ignores a second test of the same name."""
    check = Check("errors", "rate<1%", True, 0.0)
    other = Check("errors", "rate<1% (2)", True, 0.0)
    suite = read(report(verdict=Verdict(True, checks=[check, other, check, check])))
    assert [case.name for case in suite][:4] == [
        "errors: rate<1%",
        "errors: rate<1% (2)",
        "errors: rate<1% (3)",
        "errors: rate<1% (4)",
    ]


@pytest.mark.parametrize(
    ("members", "failure"),
    [
        ({}, None),
        ({"outcome": None, "verdict": Verdict(True)}, None),
        ({"outcome": None, "verdict": None}, "There is no verdict."),
        ({"outcome": None, "verdict": Verdict(False, "errors", "Too many.")}, "Too many."),
        (
            {"outcome": Outcome(107, "the load test failed", "It exited with code 1.")},
            "It exited with code 1. (exit code 107: the load test failed)",
        ),
    ],
)
def test_a_run_that_failed_has_a_failed_test(members: dict[str, Any], failure: str | None) -> None:
    """Also if every threshold and duty passed."""
    (verdict,) = [case for case in read(report(**members)) if case.classname == "shop.verdict"]
    assert [one.message for one in verdict.result] == ([failure] if failure else [])


def test_a_run_without_anything() -> None:
    """A run that never started has its verdict alone."""
    suite = read(report(started_at=None, ended_at=None, verdict=None, duties=[]))
    assert (suite.tests, suite.timestamp, suite.time) == (1, None, 0)


@given(st.text(st.characters(exclude_categories=[])), st.floats())
def test_any_text_gives_a_valid_document(text: str, value: float) -> None:
    """Characters that XML lacks are escaped; times have no exponent."""
    text = text or "x"
    suite = read(
        report(
            name=text,
            tags={text: text},
            rate=value,
            verdict=Verdict(False, checks=[Check(text, text, False, value)]),
            duties=[Duty("ready", False, text)],
            outcome=Outcome(99, text, text),
        )
    )
    assert suite.failures == 3


def test_control_characters_are_readable() -> None:
    """They are shown as escapes, and markup as text."""
    suite = read(report(duties=[Duty("delivered", False, "\x1b[2J\x00 <b>&amp;]]> \ud800 端末")]))
    (case,) = [case for case in suite if case.classname == "shop.duties"]
    assert case.result[0].message == r"\x1b[2J\x00 <b>&amp;]]> \ud800 端末"
