"""The head of a report: the run, its verdict in a sentence, thresholds, duties, and notices."""

from __future__ import annotations

from collections.abc import Iterator

from goloagent.core.verdict import Check, Verdict
from goloagent.report import checks, figures
from goloagent.report.markup import Markup, head, join, table, tag
from goloagent.report.model import AgentReport, Duty, Report
from goloagent.report.plan import planned, run_seconds

OVER = ("finished", "failed", "cancelled", "interrupted")
# A threshold's bar is as long as twice its limit.
_BAR, _BAR_HEIGHT = 120, 10


def header(report: Report) -> Markup:
    """Return the name of the run, and what, when and where it ran."""
    parts = [planned(report)]
    if report.started_at is not None:
        parts.append(f"started {report.started_at:%Y-%m-%d %H:%M:%S} UTC")
    if seconds := run_seconds(report):
        parts.append(f"took {figures.duration(seconds)}")
    agents = len(report.agents)
    parts.append("1 agent" if agents == 1 else f"{agents} agents")
    parts += [f"{name}={value}" for name, value in report.tags.items()]
    parts.append(f"binary {report.binary[:8]}")
    return tag(
        "header",
        tag("p", "Load test report · run ", tag("code", report.run), class_="eyebrow"),
        tag(
            "div",
            tag("h1", report.name),
            tag("span", report.state, class_="chip", data_state=_color(report)),
            class_="title",
        ),
        tag("p", " · ".join(parts), class_="meta"),
    )


def _color(report: Report) -> str:
    """Return the state whose colour the chip has; a run that ended and failed is not green."""
    failed = report.verdict is not None and not report.verdict.passed
    if report.outcome is not None:
        failed = report.outcome.exit_code != 0
    return "did-not-pass" if report.state == "finished" and failed else report.state


def verdict(report: Report) -> Markup:
    """Return whether the run passed, why, and each threshold with its value and margin."""
    found, outcome = report.verdict, report.outcome
    is_final = report.state in OVER
    if outcome is not None:
        passed, sentence = outcome.exit_code == 0, outcome.sentence
    elif found is not None:
        passed, sentence = found.passed, _sentence(found, is_final)
    else:
        return tag(
            "section",
            tag("p", tag("strong", "No verdict"), " It is not known whether the run passed."),
            class_="verdict none",
            aria_label="Verdict",
        )
    word = ("Passed" if passed else "Failed") if is_final else ("Passing" if passed else "Failing")
    code = None
    if outcome is not None:
        code = tag("p", f"Exit code {outcome.exit_code}: {outcome.meaning}", class_="small muted")
    return tag(
        "section",
        tag("p", tag("strong", word), " ", sentence),
        code,
        _thresholds(found.checks) if found is not None and found.checks else None,
        _duties(report.duties) if report.duties else None,
        class_="verdict",
        aria_label="Verdict",
        data_passed="true" if passed else "false",
    )


def notices(report: Report) -> Markup:
    """Return what a reader must know before the figures."""
    return join(
        *(tag("p", text, class_="notice") for text in _notices(report)),
        *(_end(report, agent) for agent in report.agents if agent.ended is not None),
    )


def _sentence(found: Verdict, is_final: bool) -> str:
    if not found.passed:
        return found.reason or "A threshold does not hold."
    number = len(found.checks)
    if not number:
        return "Calls succeeded and results are valid. No thresholds were given."
    holds = "The threshold holds" if number == 1 else f"All {number} thresholds hold"
    return f"{holds}." if is_final else f"{holds} so far."


def _thresholds(found: list[Check]) -> Markup:
    heads = ("Holds", "Threshold", "Measured", "Margin", "Share of the limit")
    return table(
        [head(text, class_="number" if text == "Measured" else None) for text in heads],
        [_threshold(check) for check in found],
        "Thresholds",
        class_="thresholds",
    )


def _threshold(check: Check) -> Markup:
    value = checks.value_of(check.metric, check.threshold, check.value)
    return tag(
        "tr",
        tag("td", "✓ holds" if check.passed else "✗ fails", class_="mark"),
        tag("td", tag("code", f"{check.metric}: {check.threshold}")),
        tag("td", value, class_="number"),
        tag("td", checks.margin_of(check.metric, check.threshold, check.value), class_="margin"),
        tag("td", _bar(checks.share_of_limit(check.metric, check.threshold, check.value))),
        class_=None if check.passed else "bad",
    )


def _bar(share: float | None) -> Markup | None:
    """Return a bar as long as the value, with a line at the limit."""
    if share is None:
        return None
    length, middle = min(_BAR, _BAR * share / 2), _BAR / 2
    parts = (
        tag("rect", class_="track", width=_BAR, height=6, y=2, rx=3),
        tag("rect", class_="fill", width=f"{max(2.0, length):.1f}", height=6, y=2, rx=3),
        tag("line", class_="limit", x1=middle, x2=middle, y1=0, y2=_BAR_HEIGHT),
    )
    return tag("svg", *parts, viewBox=f"0 0 {_BAR} {_BAR_HEIGHT}", class_="bar", aria_hidden="true")


def _duties(duties: list[Duty]) -> Markup:
    marks = {True: "✓", False: "✗", None: "-"}
    words = {True: "fulfilled", False: "not fulfilled", None: "does not apply"}
    items = [
        tag(
            "li",
            tag("span", marks[duty.passed], aria_hidden="true"),
            tag("span", words[duty.passed], class_="hidden"),
            tag("span", duty.sentence),
            class_="bad" if duty.passed is False else None,
        )
        for duty in duties
    ]
    return tag("ul", *items, class_="duties", aria_label="Duties of the agents")


def _notices(report: Report) -> Iterator[str]:
    if report.state not in OVER:
        yield "The run goes on: all figures are of the time up to now."
    yield from report.missing
    for agent in report.agents:
        of = f"{agent.agent}: " if len(report.agents) > 1 else ""
        yield from (f"{of}{warning}" for warning in agent.warnings)


def _end(report: Report, agent: AgentReport) -> Markup:
    """Return why a job did not finish, with the last lines of its load test."""
    on = f" on {agent.agent}" if len(report.agents) > 1 else ""
    ended = agent.exit or {}
    how = f"signal {ended['signal']}" if ended.get("signal") else None
    if ended.get("code") is not None:
        how = f"exit code {ended['code']}"
    label = f"Last lines of stderr{on}"
    return tag(
        "section",
        tag("p", tag("strong", f"The job {agent.state}{on}: {agent.message or agent.ended}")),
        tag("p", tag("code", agent.ended), f" · {how}" if how else None, class_="muted"),
        tag("h2", label) if agent.stderr_tail else None,
        tag("pre", agent.stderr_tail, class_="log", tabindex="0", role="group", aria_label=label)
        if agent.stderr_tail
        else None,
        class_="reason",
        data_state=agent.state,
        aria_label=f"Why the job {agent.state}{on}",
    )
