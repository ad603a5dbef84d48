"""Builds the report of a run from what its agents answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from goloagent.core.spans import Span, seconds_of
from goloagent.core.stats.cpu_usage import RunCpu
from goloagent.core.stats.summary import Summary
from goloagent.core.verdict import Verdict
from goloagent.report import tables, windows
from goloagent.report.comparison.model import Comparison
from goloagent.report.model import (
    AgentPart,
    AgentReport,
    Calls,
    Delivery,
    Duty,
    Limited,
    Outcome,
    OutputDelivery,
    Report,
    Results,
)

MAX_LIMITED = 1_000
"""Times in which a generator of the fleet was the limit."""

_WORST_FIRST = (
    "failed", "interrupted", "cancelled", "stopping", "running", "ready", "starting", "queued",
    "finished",
)  # fmt: skip
OVER = ("finished", "failed", "cancelled", "interrupted")


def build(
    parts: Sequence[AgentPart],
    *,
    outcome: Outcome | None = None,
    duties: Sequence[Duty] = (),
    baseline: Comparison | None = None,
    verdict: Verdict | None = None,
    rest: Callable[[], None] = lambda: None,
) -> Report:
    """Return the report of a run on one or more agents.

    Args:
        verdict: of several agents together; without it, theirs are combined.
        rest: see `windows.merge`.

    Raises:
        ValueError: an agent's answer lacks a member, or has one of a wrong type.
    """
    try:
        return _build(parts, outcome, duties, baseline, verdict, rest)
    except (msgspec.ValidationError, KeyError, TypeError) as error:
        raise ValueError(f"an agent's answer has an unexpected form: {error!r}") from error


def _build(
    parts: Sequence[AgentPart],
    outcome: Outcome | None,
    duties: Sequence[Duty],
    baseline: Comparison | None,
    verdict: Verdict | None,
    rest: Callable[[], None],
) -> Report:
    jobs = [part.job for part in parts]
    stats = [msgspec.convert(part.stats, Summary) for part in parts if part.stats is not None]
    timelines = [part.timeline for part in parts if part.timeline is not None]
    rows, other = tables.rows(stats)
    urls, other_urls = tables.urls(stats)
    errors, other_errors = tables.errors(stats)
    agents = [_agent(part, parts) for part in parts]
    first = jobs[0]
    limited = sorted((one for part in parts for one in _limited(part)), key=lambda one: one.begin)
    verdict = verdict or _verdict(parts)
    missing = [*(verdict.missing if verdict else ()), *_missing(parts)]
    if len(limited) > MAX_LIMITED:
        missing.append(f"Of {len(limited)} limited times, the report has the first {MAX_LIMITED}.")
    return Report(
        run=(first["run"] or first)["id"],
        name=first["name"],
        binary=first["binary"],
        drive=first["drive"],
        users=first["users"],
        planned_rate=first["rate"],
        planned_duration=first["duration"],
        load=first["load"],
        started_at=min(_times(jobs, "started_at"), default=None),
        ended_at=max(_times(jobs, "ended_at"), default=None) if _all_over(jobs) else None,
        state=min((job["state"] for job in jobs), key=_WORST_FIRST.index),
        outcome=outcome,
        verdict=verdict,
        calls=_total(Calls, [agent.calls for agent in agents]),
        results=_total(Results, [agent.results for agent in agents]),
        latency=tables.latencies(stats),
        rate=tables.rate(stats),
        urls=urls,
        other_urls=other_urls,
        rows=rows,
        other=other,
        errors=errors,
        other_errors=other_errors,
        limited=limited[:MAX_LIMITED],
        changes=_changes(timelines),
        timeline=windows.merge([timeline["windows"] for timeline in timelines], rest),
        agents=agents,
        duties=list(duties),
        tags=first["tags"],
        baseline=baseline,
        missing=list(dict.fromkeys(missing)),
    )


def _agent(part: AgentPart, parts: Sequence[AgentPart]) -> AgentReport:
    job, stats = part.job, part.stats or {}
    latency = stats.get("latency") or {}
    whole = sum(map(_work, parts))
    delivery = job["delivery"]
    counts = {name: stats.get(name, 0) for name in ("errors", "bytes")}
    return AgentReport(
        agent=part.agent,
        version=part.version,
        job=job["id"],
        share=_work(part) / whole if whole else 1 / len(parts),
        skew=part.skew,
        calls=msgspec.convert(job["calls"], Calls),
        results=msgspec.convert({**job["results"], **counts}, Results),
        p95=latency.get("p95"),
        limited=seconds_of(Span(o["cause"], o["from"], o["to"]) for o in job["limited"]),
        state=job["state"],
        ended=job["reason"],
        message=job["message"],
        exit=job["exit"],
        stderr_tail=job["stderr_tail"],
        invalid_line=job["invalid_line"],
        warnings=job["warnings"],
        delivery=Delivery(delivery["state"], job["results"]["pending"], delivery["last_error"]),
        outputs=msgspec.convert(job.get("outputs", {}), dict[str, OutputDelivery]),
        cpu=msgspec.convert(job.get("cpu"), RunCpu | None),
    )


def _work(part: AgentPart) -> int:
    """Return the calls of an agent, or its results if it makes none."""
    is_driven = part.job["drive"] != "self"
    count: int = part.job["calls"]["started"] if is_driven else part.job["results"]["valid"]
    return count


def _limited(part: AgentPart) -> list[Limited]:
    return [
        Limited(part.agent, one["cause"], one["from"], one["to"]) for one in part.job["limited"]
    ]


def _times(jobs: Sequence[Mapping[str, Any]], name: str) -> list[datetime]:
    known = [job[name] for job in jobs if job[name] is not None]
    return [msgspec.convert(time, datetime) for time in known]


def _all_over(jobs: Sequence[Mapping[str, Any]]) -> bool:
    return all(job["state"] in OVER for job in jobs)


def _total(kind: Any, counts: Sequence[Any]) -> Any:
    """Return counts added by member."""
    names = kind.__struct_fields__
    return kind(**{name: sum(getattr(one, name) for one in counts) for name in names})


def _verdict(parts: Sequence[AgentPart]) -> Verdict | None:
    """Return the verdict of one agent, or of several the first that did not pass, if all know."""
    verdicts = [part.job["verdict"] for part in parts]
    if None in verdicts:
        return None
    known = [msgspec.convert(verdict, Verdict) for verdict in verdicts]
    return next((verdict for verdict in known if not verdict.passed), known[0])


def _changes(timelines: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the changes of the load; one that each agent made is one."""
    changes = {_key(change): change for timeline in timelines for change in timeline["changes"]}
    return sorted(changes.values(), key=lambda change: float(change["at"]))


def _key(change: Mapping[str, Any]) -> tuple[Any, ...]:
    members = sorted((name, str(value)) for name, value in change.items() if name != "at")
    return round(change["at"]), *members


def _missing(parts: Sequence[AgentPart]) -> list[str]:
    sentences = []
    for part in parts:
        prefix = f"{part.agent}: " if len(parts) > 1 else ""
        if part.stats is None:
            sentences.append(f"{prefix}The statistics are not known.")
        if part.timeline is None:
            sentences.append(f"{prefix}There is no timeline.")
        else:
            sentences += [f"{prefix}{sentence}" for sentence in part.timeline["missing"]]
    return sentences
