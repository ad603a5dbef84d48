"""The summary of a run."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs
from peers.reports import part

from goloagent.client.view.summary import Summary
from goloagent.client.view.symbols import ASCII, UNICODE
from goloagent.core.stats.summary import ErrorSummary
from goloagent.core.verdict import Verdict
from goloagent.report.builder import build
from goloagent.report.comparison.compare import compare
from goloagent.report.model import AgentPart, Duty, Limited, Outcome, Report, Results

FAILED = Outcome(99, "a threshold failed", "Threshold duration: p(99)<20ms does not hold.")


def report(*parts: AgentPart, outcome: Outcome | None = FAILED, **members: Any) -> Report:
    """Return a report of agents, or a real one, with other members."""
    return structs.replace(build(parts or [part()], outcome=outcome), **members)


def text(found: Report, **options: Any) -> str:
    """Return the summary as text."""
    return "\n".join(line.plain.rstrip() for line in Summary(found, UNICODE, **options).lines())


def test_a_run() -> None:
    """The verdict is the last line."""
    assert text(report(), files=["report.html"]) == (
        """
shop: finished after 7.37 s on 1 agent, run c2ab734d-bcba-4181-8d4a-58e7b81fc5dc

  ✓ duration: p(95)<250ms   61.9 ms  75.2 % below the limit
  ✗ duration: p(99)<20ms   89.06 ms  4.45 times the limit
  ✓ errors: rate<5%         0.102 %  98.0 % below the limit
  ✓ iterations: count>100       391  3.91 times the limit

                   min      p50      p90      p95      p99    p99.9      max
  duration     1.77 ms  13.8 ms  49.9 ms  61.9 ms  89.1 ms   200 ms   230 ms
  iteration    65.4 ms   107 ms   140 ms   156 ms   221 ms   301 ms   301 ms

  results    1,955, 320/s, 4.82 MB (654 kB/s)
  calls      391 started, 54 dropped (12.1 %)
  errors     2 of 1,955 results (0.10 %)
                   1 (0.05 %)  POST https://shop.example/cart 503: Service Unavailable
                   1 (0.05 %)  POST https://shop.example/checkout 503: Service Unavailable
  delivered  nothing, because the agent has no output
  change     0:03: rate=120
  report     report.html

✗ Failed: Threshold duration: p(99)<20ms does not hold. (exit code 99: a threshold failed)"""
    )


def test_a_narrow_terminal_has_a_row_for_each_percentile() -> None:
    """Each row fits 40 columns."""
    lines = text(report(), is_narrow=True).splitlines()
    at = lines.index("                duration  iteration")
    assert lines[at + 1] == "  min            1.77 ms    65.4 ms"
    assert lines[at + 7] == "  max             230 ms     301 ms"


def test_a_load_test_that_failed_shows_its_stderr() -> None:
    """The last lines are those that say why."""
    stderr = "".join(f"line {number}\n" for number in range(20))
    outcome = Outcome(107, "the load test failed", "The job failed: it exited with code 1.")
    shown = text(report(part(state="failed", stderr_tail=stderr), outcome=outcome))
    assert "  the last lines of the load test's stderr:\n    line 10\n" in shown
    assert shown.splitlines()[-3] == "    line 19"
    assert "line 9\n" not in shown


def test_a_run_without_a_verdict_is_open() -> None:
    """As of a run that goes on."""
    assert text(report(outcome=None, verdict=None)).endswith("\nThere is no verdict yet.")


@pytest.mark.parametrize(
    ("verdict", "last"),
    [
        (Verdict(True), "✓ Passed."),
        (Verdict(False, "errors", "12 of 20 results are errors."), "✗ Failed: 12 of 20 results"),
    ],
)
def test_a_stored_run_has_the_verdict_of_its_agent(verdict: Verdict, last: str) -> None:
    """Without an outcome there is no exit code."""
    assert text(report(outcome=None, verdict=verdict)).splitlines()[-1].startswith(last)


def test_a_passed_run_says_so_with_its_exit_code() -> None:
    """The sentence and the meaning of the code are those of the outcome."""
    outcome = Outcome(0, "all held", "391 results, 0 errors.")
    assert text(report(outcome=outcome)).endswith("✓ Passed: 391 results, 0 errors. (exit code 0)")


def test_limits_have_their_seconds() -> None:
    """Of each cause, the sum and the first spans."""
    limited = [Limited("a", "agent-cpu", at, at + 1.0) for at in (12.0, 20.0, 31.0, 40.0, 70.0)]
    shown = text(report(limited=[*limited, Limited("a", "cpu-steal", 3.0, 4.5)]))
    assert (
        "  limit      the load generator: agent-cpu for 5.00 s, "
        "at 0:12–0:13, 0:20–0:21, 0:31–0:32, 0:40–0:41 and 1 more\n"  # noqa: RUF001
        "  limit      the load generator: cpu-steal for 1.50 s, at 0:03–0:04\n"  # noqa: RUF001
    ) in shown


def test_a_fleet_has_a_line_for_each_agent() -> None:
    """With its share, its p95, and why it did not finish."""
    shown = text(
        report(
            part("a:8081", run={"id": "r"}),
            part("b:8081", run={"id": "r"}, state="failed", message="It exited with code 1."),
        )
    )
    assert "shop: failed after 7.37 s on 2 agents, run r\n" in shown
    assert "  agents     a:8081: 50.0 % of the load, p95 61.9 ms\n" in shown
    assert "b:8081: 50.0 % of the load, p95 61.9 ms, It exited with code 1.\n" in shown


def test_errors_have_their_share_and_the_rest_is_counted() -> None:
    """A failed call has no URL; its share is of the calls."""
    errors = [
        ErrorSummary(method="GET", url=f"/{n}", status=500, message="", count=10) for n in range(7)
    ]
    call = ErrorSummary(method="", url="", status=0, message="boom", count=39)
    shown = text(report(errors=[call, *errors], other_errors=5))
    assert "                  39 (9.97 %)  boom\n" in shown
    assert "                  10 (0.51 %)  GET /3 500\n" in shown
    assert "GET /4" not in shown
    assert "                  35 others\n" in shown


def test_undelivered_results_and_broken_duties_are_named() -> None:
    """With the collector's last error."""
    delivery = {"state": "retrying", "last_error": "no answer", "retry_at": None}
    counts = {"read": 10, "valid": 10, "invalid": 0, "delivered": 3, "rejected": 1}
    parts = part(delivery=delivery, results={**counts, "pending": 6, "abandoned": 0})
    duty = Duty("delivered", False, "6 results were not delivered.")
    shown = text(structs.replace(report(parts), duties=[duty]))
    assert "  delivered  3 of 10 results, 1 rejected, 6 pending\n" in shown
    assert "             10.0.0.1:8081: no answer\n" in shown
    assert "  duty       ✗ 6 results were not delivered.\n" in shown


def test_each_output_has_a_line() -> None:
    """With what it lacks, and the last error of an agent that still has results for it."""
    counts = {"read": 10, "valid": 10, "invalid": 0, "delivered": 10}
    rest = {"rejected": 0, "pending": 0, "abandoned": 0}
    one = {"state": "ok", "required": True, "last_error": None, "delivered": 10, **rest}
    two = {**one, "state": "retrying", "delivered": 3, "pending": 7, "last_error": "no answer"}
    parts = part(results={**counts, **rest}, outputs={"collector": one, "influx": two})
    shown = text(report(parts))
    assert "  delivered  collector: 10 of 10 results\n" in shown
    assert "             influx: 3 of 10 results, 7 pending\n" in shown
    assert "             10.0.0.1:8081 to influx: no answer\n" in shown


def test_lines_that_are_no_results_and_warnings_are_named() -> None:
    """Each once, also of several agents."""
    parts = [part(warnings=["It never flushed."]), part("b:1", warnings=["It never flushed."])]
    shown = text(report(*parts, results=Results(valid=1, invalid=2)))
    assert "  invalid    2 lines of stdout are no results\n" in shown
    assert shown.count("It never flushed.") == 1


def test_the_report_is_where_it_can_be_read() -> None:
    """Files, else the agent that has the run; a private agent has gone."""
    private = part("private agent")
    assert "  report     a.html\n  report     b.json\n" in text(
        report(), files=["a.html", "b.json"]
    )
    assert f"  report     golo report {report().run}\n" in text(report())
    assert "  report     in no file, and the agent is gone: add --html" in text(report(private))


def test_a_baseline_has_its_sentence() -> None:
    """And the warnings about sides that differ in more than the time."""
    both = [report(), report()]
    baseline = compare(both[:1], both[1:])
    shown = text(report(baseline=structs.replace(baseline, warnings=["The load differs."])))
    assert f"  baseline   {baseline.sentence}\n             The load differs.\n" in shown


def test_ascii() -> None:
    """Every line can be printed in ASCII."""
    for line in Summary(report(), ASCII, ["report.html"]).lines():
        line.plain.encode("ascii")
