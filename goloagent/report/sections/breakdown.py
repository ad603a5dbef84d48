"""The tables of a report: URLs, errors, agents, counts."""

from __future__ import annotations

from goloagent.core.output_schemes import COLLECTOR
from goloagent.core.stats.cpu_usage import CpuUsage
from goloagent.core.stats.summary import ErrorSummary, OtherSummary, UrlSummary
from goloagent.report import figures
from goloagent.report.deliveries import OutputTotal, is_named, outputs_of, totals
from goloagent.report.markup import Markup, head, table, tag
from goloagent.report.model import AgentReport, OutputDelivery, Report, Results

_FIGURES = ("results", "errors", "error share", "p50", "p95", "p99", "max", "bytes")


def urls(report: Report) -> Markup:
    """Return the results by URL; scripts make it sortable."""
    if not report.urls:
        return tag("p", "There are no results.", class_="muted")
    rows = [_url(url) for url in report.urls]
    if report.other_urls is not None:
        rows.append(_url(report.other_urls))
    names = [head(name, class_="number") for name in _FIGURES]
    return table([head("method"), head("URL"), *names], rows, "Results by URL", id="urls")


def errors(report: Report) -> Markup:
    """Return the errors by message, the most frequent first."""
    if not report.errors:
        return tag("p", "There were none.", class_="muted")
    numbers = [head(name, class_="number") for name in ("count", "share")]
    rows = [_error(report, error) for error in report.errors]
    heads = [*numbers, head("message"), head("where")]
    shown = table(heads, rows, "Errors by message", class_="errors")
    if not report.other_errors:
        return shown
    rest = f"{figures.count(report.other_errors)} errors have other messages."
    return Markup(shown + tag("p", rest, class_="small muted"))


def agents(report: Report) -> Markup:
    """Return the part of each agent, its delivery and its limits."""
    cpu = ("CPU of agent", "CPU of load test")
    names = ("share", "skew", "calls", "results", "p95", *cpu, "limited", "pending")
    numbers = [head(name, class_="number") for name in names]
    heads = [head("agent"), head("state"), *numbers, head("delivery"), head("version")]
    return table(heads, [_agent(agent) for agent in report.agents], "Agents")


def counts(report: Report) -> Markup:
    """Return what became of each planned call and of each line of stdout."""
    calls, results = report.calls, report.results
    rows = [
        (
            "Calls",
            f"{figures.count(calls.scheduled)} scheduled = {figures.count(calls.started)} started"
            f" + {figures.count(calls.dropped)} dropped",
            f"{figures.count(calls.started)} started = {figures.count(calls.ok)} succeeded"
            f" + {figures.count(calls.failed)} failed"
            f" + {figures.count(calls.in_flight)} in flight at the end",
        ),
        (
            "Lines of stdout",
            f"{figures.count(results.read)} read = {figures.count(results.valid)} results"
            f" + {figures.count(results.invalid)} invalid",
            *map(_account, totals(report) or [_nowhere(results)]),
        ),
    ]
    if report.drive == "self":
        del rows[0]
    items = [
        item
        for label, *sums in rows
        for item in (tag("dt", label), *(tag("dd", one) for one in sums))
    ]
    return tag("dl", *items, class_="sums")


def _nowhere(results: Results) -> OutputTotal:
    """Return the account of results without an output."""
    counts = (results.delivered, results.rejected, results.pending, results.abandoned)
    return OutputTotal(COLLECTOR, False, results.valid, *counts)


def _account(output: OutputTotal) -> str:
    name = "" if output.name == COLLECTOR else f"{output.name}: "
    return (
        f"{name}{figures.count(output.results)} results = {figures.count(output.delivered)}"
        f" delivered + {figures.count(output.rejected)} rejected"
        f" + {figures.count(output.pending)} pending"
        f" + {figures.count(output.abandoned)} abandoned"
    )


def _url(url: UrlSummary | OtherSummary) -> Markup:
    is_other = isinstance(url, OtherSummary)
    latency, share = url.latency, url.errors / url.results if url.results else 0.0
    bad = " bad" if url.errors else ""
    times = [None if latency is None else getattr(latency, name) for name in _FIGURES[3:7]]
    return tag(
        "tr",
        tag("td", "" if isinstance(url, OtherSummary) else url.method or "-"),
        tag("td", "all others" if isinstance(url, OtherSummary) else url.url, class_="url"),
        _number(url.results, figures.count(url.results)),
        _number(url.errors, figures.count(url.errors), bad),
        _number(f"{share:.6g}", figures.share(url.errors, url.results), bad),
        *(_number("" if time is None else f"{time:.5g}", figures.seconds(time)) for time in times),
        _number(url.bytes, figures.size(url.bytes)),
        class_="others" if is_other else None,
    )


def _number(value: object, text: str, more: str = "") -> Markup:
    """Return a cell with the value by which it is sorted."""
    return tag("td", text, class_=f"number{more}", data_value=value)


def _error(report: Report, error: ErrorSummary) -> Markup:
    calls = report.calls.ok + report.calls.failed
    is_call = not error.method and not error.url
    whole, noun = (calls, "calls") if is_call else (report.results.valid, "results")
    status = f"status {error.status}" if error.status else "no status"
    where = "call to the load test"
    if not is_call:
        where = " · ".join((f"{error.method} {error.url}".strip(), status))
    return tag(
        "tr",
        tag("td", figures.count(error.count), class_="number"),
        tag("td", f"{figures.share(error.count, whole)} of {noun}", class_="number"),
        tag("td", error.message or "no error text", class_="text"),
        tag("td", where, class_="text"),
    )


def _agent(agent: AgentReport) -> Markup:
    limited = f"{agent.limited:,.0f} s" if agent.limited else "0 s"
    outputs = outputs_of(agent)
    has_names = is_named(outputs)
    texts = [_output(name if has_names else "", one) for name, one in outputs.items()]
    pending = max((one.pending for one in outputs.values()), default=agent.results.pending)
    skew = "-" if agent.skew is None else figures.seconds(agent.skew)
    numbers = (
        f"{100 * agent.share:.3g} %",
        skew,
        figures.count(agent.calls.started),
        figures.count(agent.results.valid),
        figures.seconds(agent.p95),
        _cpu(agent.cpu.agent if agent.cpu else None),
        _cpu(agent.cpu.load_test if agent.cpu else None),
        limited,
        figures.count(pending),
    )
    return tag(
        "tr",
        tag("th", agent.agent, scope="row"),
        tag("td", tag("span", agent.state, class_="chip", data_state=agent.state)),
        *(tag("td", number, class_="number") for number in numbers),
        tag("td", "; ".join(texts) or "no output", class_="text"),
        tag("td", agent.version),
    )


def _cpu(usage: CpuUsage | None) -> str:
    if usage is None:
        return "not measured"
    return f"{_percent(usage.mean)} (max {_percent(usage.max)})"


def _percent(cpus: float) -> str:
    """Return a usage in percent of one CPU, which is not exact to a tenth."""
    percent = 100 * cpus
    return f"{percent:,.0f} %" if percent >= 9.995 else f"{figures.digits(percent)} %"


def _output(name: str, one: OutputDelivery) -> str:
    parts = [name, one.state, one.last_error if one.pending else None]
    return ": ".join(filter(None, parts))
