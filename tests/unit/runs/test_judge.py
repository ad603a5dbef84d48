"""The verdicts of runs: every metric, the rules without thresholds, and how a run can end."""

from __future__ import annotations

from typing import Any

import pytest
from unit.runs.one_run import NOW

from goloagent.core.job_spec import JobSpec
from goloagent.core.spans import Span
from goloagent.core.stats.call_histograms import CallHistograms
from goloagent.core.stats.histogram import Histogram
from goloagent.core.stats.run_stats import RunStatistics
from goloagent.core.stats.summary import ErrorSummary
from goloagent.core.thresholds import selectors
from goloagent.core.timeline import Window
from goloagent.core.verdict import Verdict
from goloagent.jobs.job import (
    CallCounts,
    Checkpoint,
    FailureReason,
    InvalidLine,
    Job,
    LineCounts,
    State,
)
from goloagent.jobs.verdict import with_delivery
from goloagent.results.parser import parse
from goloagent.runs.judge import Judge, judge_interrupted
from goloagent.runs.second_sample import SecondSample
from goloagent.wal.timeline_totals import TimelineTotals

RESULT = (
    '{{"timestamp":"2026-01-02T03:04:05Z","method":"GET",'
    '"url":"{}","status":{},"duration":{},"size":100}}\n'
)
MS = 1_000_000


def a_job(thresholds: dict[str, Any] | None = None, **members: Any) -> Job:
    """Return a finished job in which all went well."""
    extra = {"thresholds": thresholds} if thresholds else {}
    job = Job("j", JobSpec("shop", 5, 10, "b", extra), NOW, state=State.FINISHED)
    job.calls = CallCounts(started=100, ok=100)
    job.lines = LineCounts(read=100)
    job.checkpoint = Checkpoint(delivered=100)
    for name, value in members.items():
        setattr(job, name, value)
    return job


def times(*milliseconds: int) -> Histogram:
    """Return a histogram."""
    histogram = Histogram()
    histogram.record([value * MS for value in milliseconds])
    return histogram


def second(job: Job, at: float = 0, results: str = "", **members: Any) -> SecondSample:
    """Return a second with 100 calls of 10 ms, and these results or 100 of 20 ms."""
    statistics = RunStatistics(selectors(job.spec.thresholds))
    printed = results or RESULT.format("/cart", 200, 20 * MS) * 100
    statistics.add(parse(printed.encode()).results)
    window = Window(
        at,
        1.0,
        **{"succeeded": 100, "started": 100, "in_flight": 5, "max_in_flight": 6, **members},
    )
    calls = CallHistograms(times(*[10] * 100), times(*[8] * 100), times(*[2] * 100))
    return SecondSample(window, statistics.rotate_window(1.0), calls)


def judged(job: Job, *seconds: SecondSample) -> Verdict:
    """Return the final verdict."""
    judge = Judge(job)
    for sample in seconds or (second(job),):
        judge.add(sample)
    return judge.final()


MIXED = (
    RESULT.format("/cart/1", 200, 20 * MS) * 60
    + RESULT.format("/cart/2", 500, 400 * MS) * 20
    + RESULT.format("/home", 200, 5 * MS) * 20
)


@pytest.mark.parametrize(
    ("metric", "passing", "failing"),
    [
        ("duration", "p(95)<500ms", "p(95)<100"),
        ("http_req_duration", "med<=20.1ms", "avg<10ms"),
        ("duration{url:/home}", "max<6ms", "max<4ms"),
        ("duration{url:/cart/*,status:5*}", "min>300ms", "count>20"),
        ("iteration", "p(99)<11ms", "p(99)<9ms"),
        ("iteration_duration", "max<11", "max<9"),
        ("service", "avg<9ms", "avg<7ms"),
        ("schedule_lag", "p(99)<=2.1ms", "p(99)<1ms"),
        ("errors", "rate<=20%", "rate<1%"),
        ("http_req_failed", "rate<0.3", "rate<0.1"),
        ("errors{url:/home}", "count==0", "count>0"),
        ("errors{status:5*}", "rate==1", "rate<0.5"),
        ("results", "count==100", "rate<50"),
        ("http_reqs", "rate>99", "count>100"),
        ("iterations", "count==100", "rate>101"),
        ("dropped", "count==7", "count<1"),
        ("dropped_iterations", "rate<8", "rate<7"),
        ("invalid", "count<=3", "count==0"),
        ("undelivered", "count==0", "count>0"),
        ("bytes", "count<=10kB", "rate<5kB/s"),
        ("in_flight", "max<=6", "max<6"),
        ("vus", "value==5", "min>5"),
        ("agents_lost", "value==0", "max>0"),
        ("limited", "value<=2s", "count<1"),
    ],
)
def test_every_metric(metric: str, passing: str, failing: str) -> None:
    """Each has a figure that can hold and can fail, by k6's name too."""
    job = a_job({metric: [passing, failing]}, limited=(Span("loop-lag", 3, 5),))
    verdict = judged(job, second(job, results=MIXED, dropped=7, invalid=3))
    assert [found.passed for found in verdict.checks] == [True, False], verdict
    assert (verdict.passed, verdict.code) == (False, "threshold")
    assert verdict.reason is not None
    assert verdict.reason.startswith(f"Threshold {metric}: {failing} does not hold (")


def test_a_run_that_passes() -> None:
    """Checks have their figures."""
    verdict = judged(a_job({"duration": "max<1s", "errors": "rate<1%"}))
    assert (verdict.passed, verdict.code, verdict.reason) == (True, None, None)
    assert [found.value for found in verdict.checks] == [0.02, 0]


ERRORS = (ErrorSummary(method="GET", url="http://shop/", status=500, message="", count=90),)
REFUSED = (ErrorSummary(method="", url="", status=0, message="connection refused", count=50),)


@pytest.mark.parametrize(
    ("job", "results", "code", "reason"),
    [
        (a_job(calls=CallCounts()), "", "no-call", "No call was made."),
        (
            a_job(calls=CallCounts(started=50, failed=50), errors=REFUSED),
            "",
            "no-call",
            "No call of 50 succeeded; most often connection refused (50 times).",
        ),
        (
            a_job(
                lines=LineCounts(read=7, invalid=7),
                checkpoint=Checkpoint(),
                invalid_line=InvalidLine(1, "it is not JSON", "hello"),
            ),
            "",
            "no-result",
            "The load test printed no valid result; 7 lines are no results: it is not JSON.",
        ),
        (
            a_job(calls=CallCounts(started=100, ok=50, failed=50), errors=REFUSED),
            "",
            "calls-failed",
            "50 of 100 calls failed (50.0%); most often connection refused (50 times).",
        ),
        (
            a_job(calls=CallCounts(started=200, ok=50)),
            "",
            "calls-unanswered",
            "150 of 200 calls never returned (75.0%).",
        ),
        (
            a_job(errors=ERRORS),
            RESULT.format("http://shop/", 500, 1) * 100,
            "errors",
            "100 of 100 results are errors (100.0%); most often GET http://shop/: status 500"
            " (90 times).",
        ),
    ],
)
def test_rules_without_thresholds(job: Job, results: str, code: str, reason: str) -> None:
    """A run in which nothing, or too little, worked fails, and the most frequent error is named."""
    verdict = judged(job, second(job, results=results))
    assert (verdict.passed, verdict.code, verdict.reason) == (False, code, reason)


def test_few_errors_pass_without_thresholds() -> None:
    """Thresholds decide what is too much; without them a tenth does."""
    job = a_job(calls=CallCounts(started=100, ok=95, failed=5), errors=REFUSED)
    assert judged(job).passed
    job = a_job({"errors": "rate<=100%"}, calls=CallCounts(started=100, ok=50, failed=50))
    assert judged(job).passed


def test_nothing_worked_although_thresholds_hold() -> None:
    """A threshold that holds without any work is no pass."""
    job = a_job({"dropped": "count==0"}, calls=CallCounts(started=5, failed=5))
    assert judged(job).code == "no-call"


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (State.FAILED, "The job failed: why."),
        (State.CANCELLED, "The job was cancelled: why."),
        (State.INTERRUPTED, "The job was interrupted: why."),
    ],
)
def test_a_job_that_did_not_finish(state: State, words: str) -> None:
    """It fails with its reason, and has its checks as far as they go."""
    job = a_job({"duration": "max<1s"}, state=state, cause=FailureReason("cause", "why."))
    verdict = judged(job)
    assert (verdict.passed, verdict.code, verdict.reason) == (False, "cause", words)
    assert verdict.checks[0].passed


def test_no_data_fails() -> None:
    """At the end; until then it does not."""
    job = a_job({"duration{url:/nothing}": "max<1s"}, state=State.RUNNING)
    judge = Judge(job)
    provisional = judge.add(second(job))
    assert provisional is not None
    assert provisional.passed
    job.state = State.FINISHED
    assert judge.final().reason == (
        "Threshold duration{url:/nothing}: max<1s does not hold (no data)."
    )


def test_over_the_last_seconds() -> None:
    """Only those count, so that a slow start is forgotten and a slow end is found."""
    job = a_job({"duration": [{"threshold": "max<100ms", "over": "2s"}]}, state=State.RUNNING)
    slow = RESULT.format("/cart", 200, 500 * MS)
    judge = Judge(job)
    passed = []
    for at in range(8):
        verdict = judge.add(second(job, at, slow if at in (0, 5) else ""))
        assert verdict is not None
        passed.append(verdict.passed)
    assert passed == [False, False, True, True, True, False, False, True]


def test_abort_after_a_delay() -> None:
    """A crossed threshold ends the run, but not within its delay, and not without data."""
    expression = {"threshold": "max<100ms", "abort": True, "delay": "3s"}
    job = a_job({"duration": [expression], "results": "count>0"}, state=State.RUNNING)
    judge = Judge(job)
    slow = RESULT.format("/cart", 200, 500 * MS)
    for at in range(3):
        assert judge.crossed is None
        judge.add(second(job, at, slow))
    assert judge.crossed is job.spec.thresholds[0]


def test_without_thresholds_there_is_no_verdict_until_something_is_wrong() -> None:
    """While it runs a job is not green before its end."""
    job = a_job(state=State.RUNNING)
    assert Judge(job).add(second(job)) is None
    job.calls = CallCounts(started=100, ok=40, failed=60)
    verdict = Judge(job).add(second(job))
    assert verdict is not None
    assert (verdict.passed, verdict.code) == (False, "calls-failed")


def test_undelivered_results_are_judged_again() -> None:
    """The verdict follows the delivery after the end of the run."""
    job = a_job({"undelivered": "count<=3"}, checkpoint=Checkpoint(delivered=60))
    job.verdict = judged(job)
    assert not job.verdict.passed
    job.checkpoint = Checkpoint(delivered=97)
    verdict = with_delivery(job)
    assert verdict is not None
    assert (verdict.passed, verdict.reason, verdict.checks[0].value) == (True, None, 3)
    job.checkpoint = Checkpoint(delivered=90, rejected=10)
    assert not (with_delivery(job) or verdict).passed


def test_delivered_results_are_no_pass_of_a_run_in_which_no_call_succeeded() -> None:
    """The other rules apply when the delivery is judged again."""
    calls = CallCounts(started=5, failed=5)
    job = a_job({"undelivered": "count==0"}, calls=calls, checkpoint=Checkpoint(delivered=60))
    job.verdict = judged(job)
    assert job.verdict.code == "threshold"
    job.checkpoint = Checkpoint(delivered=100)
    verdict = with_delivery(job)
    assert verdict is not None
    assert (verdict.passed, verdict.code) == (False, "no-call")


def interrupted(job: Job, totals: TimelineTotals | None) -> Verdict:
    """Return the verdict of a job that was running when its agent was killed."""
    job.state, job.cause = State.INTERRUPTED, FailureReason("agent-restart", "why.")
    statistics = RunStatistics(selectors(job.spec.thresholds))
    statistics.add(parse((RESULT.format("/cart", 200, 20 * MS) * 100).encode()).results)
    return judge_interrupted(job, statistics, totals)


def test_an_interrupted_run() -> None:
    """Figures that the log and the timeline have are judged; what is missing is said."""
    thresholds = {
        "duration{url:/cart}": "max<1s",
        "iteration": "max<1s",
        "iterations": "count==90",
        "service": "max<1s",
    }
    job = a_job(thresholds)
    window = Window(0.0, 9.0, succeeded=90)
    totals = TimelineTotals(CallCounts(90, 90), (), window, times(*[10] * 90))
    verdict = interrupted(job, totals)
    assert (verdict.passed, verdict.code) == (False, "agent-restart")
    assert [found.passed for found in verdict.checks] == [True, True, True, False]
    assert len(verdict.missing) == 2
    without = interrupted(a_job(thresholds), None)
    assert [found.passed for found in without.checks] == [True, False, False, False]
    assert "there is no timeline" in " ".join(without.missing)
