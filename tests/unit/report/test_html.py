"""Reports as HTML: what is readable without scripts, and that no text becomes markup."""

from __future__ import annotations

import base64
import re
from hashlib import sha256
from html import unescape
from html.parser import HTMLParser
from typing import Any

import pytest
from msgspec import structs
from peers.reports import answers, part

from goloagent.core.stats.summary import ErrorSummary
from goloagent.report.builder import build
from goloagent.report.codec import decode
from goloagent.report.comparison.compare import compare
from goloagent.report.html import policy, render
from goloagent.report.markup import tag
from goloagent.report.model import Duty, Outcome, Report
from goloagent.report.sections.events import CAUSES

HOSTILE = "</script></td><img src=x onerror=alert(1)><!-- {{script}} \" ' & \u2028\x00"


class Reader(HTMLParser):
    """Collects elements, attributes, and the text outside of scripts and styles."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        if self.tags[-1:] not in (["script"], ["style"]) and data.strip():
            self.texts.append(data.strip())


def read(report: Report) -> Reader:
    """Return a reader of a report's HTML."""
    reader = Reader()
    reader.feed(render(report).decode())
    return reader


def test_the_cpu_usage_of_agents() -> None:
    """It is in percent of one CPU; what was not measured is not 0."""
    usage = {"agent": {"mean": 0.0, "max": 0.0101}, "load_test": {"mean": 0.1234, "max": 1.506}}
    cells = read(build([part("a", cpu=usage), part("b", cpu={**usage, "load_test": None})])).texts
    assert {"CPU of agent", "CPU of load test", "12 % (max 151 %)"} <= {*cells}
    assert cells.count("0 % (max 1.01 %)") == 2
    assert cells.count("not measured") == 1
    assert read(build([part("of an older version")])).texts.count("not measured") == 2


def test_readable_without_scripts() -> None:
    """The verdict, thresholds, figures and tables are in the document."""
    text = "\n".join(read(build([part()])).texts)
    for expected in (
        "Failed",
        "Threshold duration: p(99)<20ms does not hold (89.06 ms).",
        "✗ fails",
        "4.45 times the limit",
        "445 scheduled = 391 started + 54 dropped",
        "POST https://shop.example/checkout · status 503",
        "Service Unavailable",
        "rate 120",
        "30 → 60/s for 0:06",
        "release=1.4.2",
    ):
        assert expected in text
    assert "The run goes on" not in text


def test_the_data_is_read_again() -> None:
    """The report in the file is the one that was written."""
    report = structs.replace(build([part()]), name=HOSTILE)
    assert decode(render(report)) == report


def test_hostile_texts() -> None:
    """Names, URLs, messages, tags, addresses and stderr add no element and no attribute."""
    recorded = answers()
    [url, *_] = recorded["stats"]["urls"]
    [row, *_] = recorded["stats"]["rows"]
    error = structs.asdict(
        ErrorSummary(method=HOSTILE, url=HOSTILE, status=0, message=HOSTILE, count=1)
    )
    stats = recorded["stats"] | {
        "urls": [{**url, "url": HOSTILE, "method": HOSTILE}],
        "rows": [{**row, "url": HOSTILE, "method": HOSTILE}],
        "errors_by_reason": [error],
    }
    check = {"metric": HOSTILE, "threshold": HOSTILE, "passed": False, "value": 1.0}
    verdict = {"passed": False, "code": "threshold", "reason": HOSTILE, "checks": [check]}
    job: dict[str, Any] = {
        "name": HOSTILE,
        "tags": {HOSTILE: HOSTILE},
        "state": "failed",
        "reason": HOSTILE,
        "message": HOSTILE,
        "stderr_tail": HOSTILE,
        "warnings": [HOSTILE],
        "verdict": {**verdict, "missing": [HOSTILE]},
        "delivery": {"state": HOSTILE, "last_error": HOSTILE, "retry_at": None},
        "limited": [{"cause": HOSTILE, "from": 1, "to": 2}],
    }
    hostile = structs.replace(part(HOSTILE, **job), version=HOSTILE, stats=stats)
    duty = Duty("ready", False, HOSTILE)
    plain = build(
        [part(state="failed", reason="x", stderr_tail="x", message="x", warnings=["x"])],
        outcome=Outcome(107, "x", "x"),
        duties=[duty],
    )
    found = read(build([hostile], outcome=Outcome(107, HOSTILE, HOSTILE), duties=[duty]))
    known = read(plain)
    assert set(found.tags) <= set(known.tags)
    assert "img" not in found.tags
    assert found.attributes <= known.attributes
    assert "".join(found.texts).count("<img src=x onerror=alert(1)>") >= 15


def test_security_policy() -> None:
    """It allows the file's own script and style by their hashes, and no other."""
    page = render(build([part()])).decode()
    [written] = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page)
    assert unescape(written) == policy()
    for element in ("script", "style"):
        [text] = re.findall(f"<{element}>(.*?)</{element}>", page, re.DOTALL)
        digest = base64.b64encode(sha256(text.encode()).digest()).decode()
        assert f"{element}-src 'sha256-{digest}';" in policy()
    assert "default-src 'none'" in policy()
    assert "unsafe" not in policy()
    inline = re.sub(r"<(script|style).*?</\1>", "", page, flags=re.DOTALL)
    assert not re.search(r"\sstyle=|\son\w+=|https?://(?!shop\.example)", inline)


@pytest.mark.parametrize(
    ("verdict", "state", "expected"),
    [
        (None, "running", "No verdict"),
        ({"passed": True}, "running", "Passing"),
        ({"passed": False, "reason": "It is slow."}, "running", "Failing"),
        ({"passed": True}, "finished", "Passed"),
    ],
)
def test_words_of_the_verdict(verdict: dict[str, Any] | None, state: str, expected: str) -> None:
    """A verdict is provisional until the run is over."""
    texts = read(build([part(verdict=verdict, state=state)])).texts
    assert expected in texts
    assert any("goes on" in text for text in texts) == (state == "running")


@pytest.mark.parametrize(("passed", "color"), [(True, "finished"), (False, "did-not-pass")])
def test_the_color_of_the_state(passed: bool, color: str) -> None:
    """A run that ended and failed is not green."""
    page = render(build([part(verdict={"passed": passed})])).decode()
    head = page[: page.index("</header>")]
    assert re.findall('class="chip" data-state="(.*?)">(.*?)<', head) == [(color, "finished")]


def test_a_report_without_details() -> None:
    """A run without results and timeline has a report."""
    report = build([structs.replace(part(), stats=None, timeline=None)])
    texts = read(report).texts
    assert "No latency was measured." in texts
    assert "There is no timeline." in texts


def test_a_baseline() -> None:
    """The comparison has a row for each metric, with its effect."""
    report = build([part()])
    compared = compare([report], [report])
    texts = read(structs.replace(report, baseline=compared)).texts
    assert "Compared with the baseline" in texts
    assert {row.metric for row in compared.rows} <= set(texts)


def test_causes_are_those_of_the_page() -> None:
    """The page and the report explain the same limits with the same words."""
    from importlib.resources import files

    script = files("goloagent.http.ui").joinpath("page").joinpath("limits.js").read_text()
    written = dict(re.findall(r'^  "?([\w-]+)"?: "(.+)",$', script, re.MULTILINE))
    assert written == {cause: CAUSES[cause] for cause in written}


def test_control_characters_are_visible() -> None:
    """Those of terminals and of the writing direction are shown as escapes; lines stay."""
    shown = tag("p", "a\x00\x1b[31m\u202eb\nc", title="\x9b")
    assert shown == '<p title="\\x9b">a\\x00\\x1b[31m\\u202eb\nc</p>'
