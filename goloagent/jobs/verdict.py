"""The verdict of a job from its checks, its counts and how it ended. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from goloagent.core.output_schemes import COLLECTOR
from goloagent.core.verdict import Check, Sample, Verdict, check, sentence_of
from goloagent.jobs.job import Job, State

MAX_ERROR_SHARE = 0.1
"""A job without thresholds fails from this share of failed or unanswered calls, or of errors."""

_ENDED = {
    State.FAILED: "failed",
    State.CANCELLED: "was cancelled",
    State.INTERRUPTED: "was interrupted",
}


def decide(
    job: Job, checks: Sequence[Check], result_errors: int, missing: Sequence[str] = ()
) -> Verdict:
    """Return the verdict of a job that is over, or until now.

    Args:
        result_errors: how many results are errors.
    """
    code, reason = _failure(job, checks, result_errors)
    return Verdict(reason is None, code, reason, list(checks), list(missing))


def with_delivery(job: Job) -> Verdict | None:
    """Return the verdict of a job that is over with the results that are undelivered by now."""
    verdict, thresholds = job.verdict, job.spec.thresholds
    if verdict is None or all(one.metric != "undelivered" for one in thresholds):
        return verdict
    sample = undelivered(job)
    checks = [
        check(threshold, sample) if threshold.metric == "undelivered" else found
        for threshold, found in zip(thresholds, verdict.checks, strict=True)
    ]
    # With thresholds no rule needs the number of errors.
    return decide(job, checks, 0, verdict.missing)


def undelivered(job: Job) -> Sample:
    """Return what a threshold on undelivered results is compared with."""
    seconds = 0.0
    if job.started_at is not None and job.ended_at is not None:
        seconds = (job.ended_at - job.started_at).total_seconds()
    valid = job.results.valid
    missed = [valid - one.delivered for name, one in job.checkpoints.items() if _counts(job, name)]
    return Sample(seconds, count=max(missed, default=0))


def _counts(job: Job, output: str) -> bool:
    """Return whether results must reach an output: not a collector that others have replaced."""
    if output == COLLECTOR and job.outputs:
        return job.checkpoint.is_used
    return job.checkpoint_of(output).required


def _failure(
    job: Job, checks: Sequence[Check], result_errors: int
) -> tuple[str | None, str | None]:
    """Return the code and the sentence of what failed first."""
    thresholds = job.spec.thresholds
    failed = any(not found.passed for found in checks)
    if job.state in _ENDED and job.cause is not None:
        return job.cause.reason, f"The job {_ENDED[job.state]}: {job.cause.message}"
    if failed:
        return "threshold", sentence_of(thresholds, checks)
    if job.state.over:
        nothing = _nothing(job)
        if nothing is not None:
            return nothing
    if not thresholds:
        return _too_many_errors(job, result_errors)
    return None, None


def _nothing(job: Job) -> tuple[str, str] | None:
    """Return the failure of a job in which nothing worked."""
    calls, results = job.calls, job.results
    if job.spec.drive != "self" and not calls.ok:
        if not calls.started:
            return "no-call", "No call was made."
        return "no-call", f"No call of {calls.started:,} succeeded{_most_frequent(job)}."
    if not results.valid:
        first = "" if job.invalid_line is None else f": {job.invalid_line.reason}"
        lines = f"; {results.invalid:,} lines are no results{first}" if results.invalid else ""
        return "no-result", f"The load test printed no valid result{lines}."
    return None


def _too_many_errors(job: Job, result_errors: int) -> tuple[str | None, str | None]:
    calls, results = job.calls, job.results.valid
    returned = calls.ok + calls.failed
    # Those in flight at the end had the time for it, unless the job gives none.
    is_cut = not job.state.over or job.spec.profile.graceful_stop == 0
    for code, count, of, what in (
        ("calls-failed", calls.failed, returned, "calls failed"),
        (
            "calls-unanswered",
            0 if is_cut else calls.in_flight,
            calls.started,
            "calls never returned",
        ),
        ("errors", result_errors, results, "results are errors"),
    ):
        if count and count >= MAX_ERROR_SHARE * of:
            most = "" if code == "calls-unanswered" else _most_frequent(job)
            return code, f"{count:,} of {of:,} {what} ({count / of:.1%}){most}."
    return None, None


def _most_frequent(job: Job) -> str:
    if not job.errors:
        return ""
    error = job.errors[0]
    place = f"{error.method} {error.url}".strip()
    text = error.message or (
        f"status {error.status}" if error.status else "an error without a text"
    )
    return f"; most often {f'{place}: ' if place else ''}{text} ({error.count:,} times)"
