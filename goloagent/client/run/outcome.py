"""The outcome of a run: its duties, and the exit code that follows from them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs

from goloagent.client.exit_codes import MEANINGS, ExitCode
from goloagent.core.verdict import Verdict
from goloagent.report.deliveries import OutputTotal, is_named, totals
from goloagent.report.model import Duty, Outcome, Report

# Codes of a verdict without thresholds, by the agent's own rules.
_RULES = ("calls-failed", "calls-unanswered", "errors")
_TOO_MANY = "without thresholds at most a tenth may fail"
_NEVER_RAN = ("not-started", "rpc-port-busy", "disk-full", "slow-disk", "log-path")


@attrs.frozen
class Circumstances:
    """Facts about a run that no agent knows.

    Args:
        interrupted: by a person.
        not_ready: why an agent did not become ready, or None if all did.
        lost: the agents that stopped answering.
        tolerate: how many may be lost.
        strict: a generator that was the limit fails the run.
        delivery_seconds: how long the delivery was waited for.
        bundled: the load test is one of golo's own, whose stderr says what the user can correct.
    """

    interrupted: bool = False
    not_ready: str | None = None
    lost: Sequence[str] = ()
    tolerate: int = 0
    strict: bool = False
    delivery_seconds: float = 0.0
    bundled: bool = False


def decide(report: Report, circumstances: Circumstances) -> tuple[Outcome, list[Duty]]:
    """Return the outcome of a run and its duties."""
    duties = list(_duties(report, circumstances))
    code, sentence = _code(report, circumstances, duties)
    meaning = MEANINGS[code]
    if code is ExitCode.THRESHOLD and report.verdict is not None:
        meaning = _TOO_MANY if report.verdict.code in _RULES else "a threshold failed"
    return Outcome(int(code), meaning, sentence), duties


def _duties(report: Report, facts: Circumstances) -> Iterator[Duty]:
    agents = len(report.agents)
    ready = facts.not_ready or f"{_count(agents, 'agent')} became ready."
    yield Duty("ready", facts.not_ready is None, ready)
    stopped = [one.agent for one in report.agents if one.state == "interrupted"]
    gone = [*facts.lost, *(f"{name}, which was stopped" for name in stopped)]
    lost = f"Lost: {', '.join(gone)}." if gone else "No agent was lost."
    yield Duty("none-lost", len(gone) <= facts.tolerate, lost)
    together = "There is one agent." if agents == 1 else "The agents started when each was ready."
    yield Duty("started-together", None, together)
    yield _delivered(report, facts)
    yield _not_limited(report, facts)


def _delivered(report: Report, facts: Circumstances) -> Duty:
    found = totals(report)
    if not found:
        return Duty("delivered", None, "There is no output; results are in the log only.")
    has_names = is_named(output.name for output in found)
    end = "before the end" if facts.interrupted else f"within {facts.delivery_seconds:g} s"
    required = [output for output in found if output.required]
    sentences = [_lacking(output, end, has_names) for output in required if output.lacks]
    more = [_optional(output) for output in found if not output.required and output.lacks]
    if sentences:
        return Duty("delivered", False, " ".join(sentences + more))
    names = " and ".join(output.name for output in required) if has_names else ""
    reached = f"All {report.results.valid:,} results were delivered{names and f' to {names}'}."
    if not required:
        return Duty("delivered", None, " ".join(more) or "No output is required.")
    return Duty("delivered", True, " ".join([reached, *more]))


def _lacking(output: OutputTotal, end: str, has_names: bool) -> str:
    """Return the sentence about an output that has not got every result."""
    if output.pending:
        to = f" to {output.name}" if has_names else ""
        why = f": {'; '.join(sorted(output.errors))}" if output.errors else ""
        number = f"{output.pending:,} of {output.results:,}"
        return f"{number} results were not delivered{to} {end}{why}."
    by = f" by {output.name}" if has_names else ""
    return f"{output.rejected + output.abandoned:,} results were rejected{by} or given up."


def _optional(output: OutputTotal) -> str:
    return f"{output.name}, which is not required, lacks {output.lacks:,} results."


def _not_limited(report: Report, facts: Circumstances) -> Duty:
    if not report.limited:
        return Duty("generator-not-the-limit", True, "The load generator was not the limit.")
    causes = ", ".join(sorted({span.cause for span in report.limited}))
    seconds = sum(span.end - span.begin for span in report.limited)
    sentence = f"The load generator was the limit for {seconds:g} s ({causes}), see docs/limits.md."
    return Duty("generator-not-the-limit", False if facts.strict else None, sentence)


def _code(report: Report, facts: Circumstances, duties: Sequence[Duty]) -> tuple[ExitCode, str]:
    """Return the exit code and its sentence: the first that holds."""
    failed = {duty.name: duty.sentence for duty in duties if duty.passed is False}
    verdict = report.verdict or Verdict(False, "no-verdict", "There is no verdict.")
    if facts.not_ready is not None:
        return ExitCode.NOT_READY, facts.not_ready
    if facts.interrupted:
        return ExitCode.INTERRUPTED, "The run was interrupted; its figures are partial."
    if "none-lost" in failed:
        return ExitCode.AGENTS_LOST, failed["none-lost"]
    if not verdict.passed:
        reason = _own_words(report, facts) or verdict.reason or "The run failed."
        is_judged = verdict.code == "threshold" or (
            verdict.code in _RULES and report.state == "finished"
        )
        return (ExitCode.THRESHOLD if is_judged else ExitCode.LOAD_TEST), reason
    if "delivered" in failed:
        return ExitCode.UNDELIVERED, failed["delivered"]
    if "generator-not-the-limit" in failed:
        return ExitCode.LIMITED, failed["generator-not-the-limit"]
    checks = [check for check in verdict.checks if check.passed]
    held = f", {_count(len(checks), 'threshold')} held" if checks else ""
    errors = report.results.errors + report.calls.failed
    return ExitCode.OK, f"{report.results.valid:,} results, {_count(errors, 'error')}{held}."


def _own_words(report: Report, facts: Circumstances) -> str | None:
    """Return why a bundled load test ended before its first call, by its last line of stderr."""
    ended = [agent for agent in report.agents if agent.ended == "exited" and agent.stderr_tail]
    if not (facts.bundled and ended) or report.calls.started:
        return None
    return f"The load test ended: {ended[0].stderr_tail.strip().splitlines()[-1]}."


def never_ran(job_reason: str | None) -> bool:
    """Return whether a job failed before its load test could be at fault."""
    return job_reason in _NEVER_RAN


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
