"""The exit code of a run, from its report and what its client saw."""

from __future__ import annotations

from typing import Any

import pytest
from peers.reports import part

from goloagent.client.exit_codes import MEANINGS, ExitCode
from goloagent.client.run.outcome import Circumstances, decide
from goloagent.report.builder import build
from goloagent.report.model import Duty, Outcome

PASSED = {"passed": True, "code": None, "reason": None, "checks": [], "missing": []}
DELIVERED = {"state": "ok", "last_error": None, "retry_at": None}
LIMITED = [{"cause": "loop-lag", "from": 2.0, "to": 4.0}]


def results(**counts: int) -> dict[str, int]:
    """Return the counts of results; those that are not given are 0."""
    names = ("read", "valid", "invalid", "delivered", "rejected", "pending", "abandoned")
    return {**dict.fromkeys(names, 0), **counts}


def outcome(facts: Circumstances | None = None, **job: Any) -> tuple[Outcome, dict[str, Duty]]:
    """Return the outcome of a run that passes but for what is given."""
    members = {
        "verdict": PASSED,
        "delivery": DELIVERED,
        "results": results(read=10, valid=10, delivered=10),
        **job,
    }
    found, duties = decide(build([part(**members)]), facts or Circumstances(delivery_seconds=60))
    return found, {duty.name: duty for duty in duties}


def failed(code: str) -> dict[str, Any]:
    """Return a verdict that failed."""
    return {**PASSED, "passed": False, "code": code, "reason": f"It failed: {code}."}


def test_a_run_that_passes() -> None:
    """Each duty is fulfilled or does not apply."""
    found, duties = outcome()
    assert (found.exit_code, found.meaning) == (ExitCode.OK, MEANINGS[ExitCode.OK])
    assert {name: duty.passed for name, duty in duties.items()} == {
        "ready": True,
        "none-lost": True,
        "started-together": None,
        "delivered": True,
        "generator-not-the-limit": True,
    }


@pytest.mark.parametrize(
    ("code", "state", "exit_code"),
    [
        ("threshold", "finished", ExitCode.THRESHOLD),
        ("errors", "finished", ExitCode.THRESHOLD),
        ("calls-failed", "finished", ExitCode.THRESHOLD),
        ("calls-unanswered", "finished", ExitCode.THRESHOLD),
        ("calls-failed", "failed", ExitCode.LOAD_TEST),
        ("no-call", "finished", ExitCode.LOAD_TEST),
        ("no-result", "finished", ExitCode.LOAD_TEST),
        ("exited", "failed", ExitCode.LOAD_TEST),
        ("cancelled", "cancelled", ExitCode.LOAD_TEST),
    ],
)
def test_a_verdict_that_failed(code: str, state: str, exit_code: ExitCode) -> None:
    """It is the threshold's or the load test's, with the reason."""
    found, _ = outcome(verdict=failed(code), state=state)
    assert (found.exit_code, found.sentence) == (exit_code, f"It failed: {code}.")


@pytest.mark.parametrize(
    ("code", "meaning"),
    [
        ("threshold", "a threshold failed"),
        ("errors", "without thresholds at most a tenth may fail"),
    ],
)
def test_the_meaning_of_99(code: str, meaning: str) -> None:
    """A run without thresholds is not said to have failed one."""
    assert outcome(verdict=failed(code), state="finished")[0].meaning == meaning


def test_an_agent_that_was_stopped() -> None:
    """It is lost, as one that is silent, and the load test is not at fault."""
    found, duties = outcome(verdict=failed("agent-restart"), state="interrupted")
    assert found.exit_code == ExitCode.AGENTS_LOST
    assert "which was stopped" in duties["none-lost"].sentence


def test_without_a_verdict() -> None:
    """No verdict is no success."""
    assert outcome(verdict=None)[0].exit_code == ExitCode.LOAD_TEST


@pytest.mark.parametrize(
    ("counts", "sentence"),
    [
        ({"delivered": 4, "pending": 6}, "6 of 10 results were not delivered within 60 s"),
        ({"delivered": 9, "rejected": 1}, "1 results were rejected or given up."),
        ({"delivered": 9, "abandoned": 1}, "1 results were rejected or given up."),
    ],
)
def test_undelivered_results(counts: dict[str, int], sentence: str) -> None:
    """They fail the run, unless there is no collector."""
    given = results(read=10, valid=10, **counts)
    found, duties = outcome(results=given)
    assert found.exit_code == ExitCode.UNDELIVERED
    assert duties["delivered"].sentence.startswith(sentence)
    nowhere = {**DELIVERED, "state": "none"}
    found, duties = outcome(results=given, delivery=nowhere)
    assert (found.exit_code, duties["delivered"].passed) == (ExitCode.OK, None)


def to(delivered: int, **more: Any) -> dict[str, Any]:
    """Return an output of a job with ten results."""
    counts = {name: more.pop(name, 0) for name in ("rejected", "abandoned")}
    pending = 10 - delivered - sum(counts.values())
    counts = {**counts, "delivered": delivered, "pending": pending}
    return {"state": "ok", "required": True, "last_error": None, **counts, **more}


@pytest.mark.parametrize(
    ("outputs", "passed", "sentence"),
    [
        ({"a": to(10), "b": to(10)}, True, "All 10 results were delivered to a and b."),
        (
            {"a": to(10), "b": to(4, last_error="refused"), "c": to(9, rejected=1)},
            False,
            "6 of 10 results were not delivered to b within 60 s: refused. "
            "1 results were rejected by c or given up.",
        ),
        (
            {"a": to(10), "b": to(4, required=False, last_error="refused")},
            True,
            "All 10 results were delivered to a. b, which is not required, lacks 6 results.",
        ),
        ({"b": to(10, required=False)}, None, "No output is required."),
        ({}, None, "There is no output; results are in the log only."),
    ],
)
def test_the_results_of_each_output(
    outputs: dict[str, Any], passed: bool | None, sentence: str
) -> None:
    """A required output that lacks results fails the run, and each that does is named."""
    nowhere = {**DELIVERED, "state": "none"}
    found, duties = outcome(outputs=outputs, delivery=nowhere)
    assert duties["delivered"] == Duty("delivered", passed, sentence)
    assert found.exit_code == (ExitCode.UNDELIVERED if passed is False else ExitCode.OK)


def test_a_generator_that_was_the_limit() -> None:
    """It is said, and with --strict it fails the run."""
    found, duties = outcome(limited=LIMITED)
    assert (found.exit_code, duties["generator-not-the-limit"].passed) == (ExitCode.OK, None)
    assert "for 2 s (loop-lag)" in duties["generator-not-the-limit"].sentence
    found, _ = outcome(Circumstances(strict=True), limited=LIMITED)
    assert found.exit_code == ExitCode.LIMITED


def test_the_order() -> None:
    """The cause that explains the others comes first."""
    everything = {
        "verdict": failed("threshold"),
        "results": results(read=10, valid=10, pending=10),
        "limited": LIMITED,
    }
    facts = {"not_ready": "It was busy.", "interrupted": True, "lost": ["a"], "strict": True}
    codes = []
    for fact in ("not_ready", "interrupted", "lost"):
        codes.append(outcome(Circumstances(**facts), **everything)[0].exit_code)
        del facts[fact]
    for member in everything:
        codes.append(outcome(Circumstances(**facts), **everything)[0].exit_code)
        everything = {name: value for name, value in everything.items() if name != member}
    codes.append(outcome(Circumstances(**facts), **everything)[0].exit_code)
    assert codes == [121, 105, 120, 99, 123, 122, 0]


def test_lost_agents_are_tolerated() -> None:
    """As many as were allowed."""
    assert outcome(Circumstances(lost=["a"], tolerate=0))[0].exit_code == ExitCode.AGENTS_LOST
    assert outcome(Circumstances(lost=["a"], tolerate=1))[0].exit_code == ExitCode.OK
