"""The summary and the annotations of GitHub Actions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt
from msgspec import structs
from peers.reports import part

from goloagent.client.view.github import publish, to_markdown
from goloagent.core.stats.summary import ErrorSummary
from goloagent.core.verdict import Check, Verdict
from goloagent.report.builder import build
from goloagent.report.model import Duty, Outcome, Report

ACTIONS = {"GITHUB_ACTIONS": "true"}
FAILED = Outcome(99, "a threshold failed", "Threshold duration: p(99)<20ms does not hold.")
HOSTILE = "a|b `c` *d* [e](f) <g> & \\ \r\n::error::%0A \x1b[2J"


def report(**members: Any) -> Report:
    """Return a real report with other members."""
    return structs.replace(build([part()], outcome=FAILED), **members)


def test_the_summary_is_markdown() -> None:
    """The verdict comes first."""
    assert to_markdown(report(errors=[])) == (
        r"""
### ✗ shop failed

Threshold duration: p(99)&lt;20ms does not hold. Exit code 99: a threshold failed.

| threshold | value | margin |  |
|---|---|---|---|
| duration: p(95)&lt;250ms | 61.9 ms | 75.2 % below the limit | ✓ |
| duration: p(99)&lt;20ms | 89.06 ms | 4.45 times the limit | ✗ |
| errors: rate&lt;5% | 0.102 % | 98.0 % below the limit | ✓ |
| iterations: count&gt;100 | 391 | 3.91 times the limit | ✓ |

|  | min | p50 | p90 | p95 | p99 | p99.9 | max |
|---|---|---|---|---|---|---|---|
| duration | 1.77 ms | 13.8 ms | 49.9 ms | 61.9 ms | 89.1 ms | 200 ms | 230 ms |
| iteration | 65.4 ms | 107 ms | 140 ms | 156 ms | 221 ms | 301 ms | 301 ms |

1,955 results (320/s), 2 errors (0.10 %), 0 failed calls, 54 dropped

"""
    )


def test_hostile_texts_stay_texts() -> None:
    """A reader of Markdown finds them in the cells, and nothing in them is markup."""
    check = Check(HOSTILE, HOSTILE, False, 1.0)
    error = ErrorSummary(method="GET", url=HOSTILE, status=500, message=HOSTILE, count=1)
    text = to_markdown(report(name=HOSTILE, verdict=Verdict(False, checks=[check]), errors=[error]))
    html = MarkdownIt("commonmark", {"html": True}).enable("table").render(text)
    assert html.count("<table>") == 3
    assert html.count("<td>") == 4 + 2 * 8 + 3
    for markup in ("<g>", "<em>", "<a ", "<code>", "\x1b"):
        assert markup not in html
    shown = r"a|b `c` *d* [e](f) &lt;g&gt; &amp; \ \r\n::error::%0A \x1b[2J"
    assert f"<td>{shown}</td>" in html


def test_it_is_appended(tmp_path: Path) -> None:
    """A step may have a summary of its own before."""
    path = tmp_path / "summary.md"
    path.write_text("# Mine", encoding="utf-8")
    assert list(publish(report(), {"GITHUB_STEP_SUMMARY": str(path)})) == []
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# Mine\n### ✗ shop failed\n")


@pytest.mark.parametrize("path", ["missing/summary.md", ".", "\0"])
def test_a_summary_that_cannot_be_written_is_a_note(path: str, tmp_path: Path) -> None:
    """The run has its verdict all the same."""
    (note,) = publish(report(), {"GITHUB_STEP_SUMMARY": f"{tmp_path}/{path}"})
    assert note.startswith("the summary of GitHub Actions was not written: ")


def test_each_failure_is_an_annotation() -> None:
    """The verdict repeats the first of them, so it is one only if it is alone."""
    duty = Duty("delivered", False, "12 results are pending.")
    assert list(publish(report(duties=[duty]), ACTIONS)) == [
        "::error title=shop::Threshold duration: p(99)<20ms does not hold: 89.06 ms.",
        "::error title=shop::12 results are pending.",
    ]
    (alone,) = publish(report(verdict=None), ACTIONS)
    assert alone.startswith("::error title=shop::Threshold duration: p(99)<20ms does not hold. (")


def test_annotations_are_escaped() -> None:
    """No text begins another command."""
    duty = Duty("delivered", False, "100% of a\r\n::stop-commands::x")
    name, verdict = "a:b,c%\n::error::", Verdict(True)
    (line,) = publish(report(name=name, verdict=verdict, duties=[duty]), ACTIONS)
    assert line == (
        r"::error title=a%3Ab%2Cc%25\n%3A%3Aerror%3A%3A::100%25 of a\r\n::stop-commands::x"
    )


def test_a_passed_run_has_no_annotation(tmp_path: Path) -> None:
    """Outside of Actions there is none either."""
    outcome = Outcome(0, "all held", "391 results.")
    passed = report(outcome=outcome, verdict=Verdict(True))
    assert list(publish(passed, ACTIONS)) == []
    assert list(publish(report(), {"GITHUB_ACTIONS": "false"})) == []
    assert to_markdown(passed).startswith("\n### ✓ shop passed\n\n391 results. Exit code 0: all")
