"""Render the tables of docs/operations.md, for ``make docs``."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families
from twisted.internet.task import Clock

import goloagent.http
from goloagent.host.signals import ACTIONS, Action
from goloagent.http.api.endpoint import Endpoint, endpoints_of
from goloagent.http.api.openapi import COMMON_ERRORS
from goloagent.metrics.exporter import Gauges, PrometheusExporter
from goloagent.options import TIMEOUTS

PAGE = Path(__file__).with_name("operations.md")


def render(page: str) -> str:
    """Return the page with its tables replaced."""
    tables = {
        "routes": _routes(),
        "metrics": _metrics(),
        "signals": _signals(),
        "timeouts": _timeouts(),
    }
    for name, table in tables.items():
        body = "\n".join(table)
        page, count = re.subn(
            rf"(<!-- {name}: .*? -->\n).*?(<!-- end -->)",
            lambda found, body=body: f"{found[1]}\n{body}\n\n{found[2]}",
            page,
            flags=re.DOTALL,
        )
        assert count == 1, name
    return page


def operations() -> Iterator[tuple[Endpoint, str]]:
    """Yield every operation that `goloagent.http` declares, with its summary."""
    for module in pkgutil.walk_packages(goloagent.http.__path__, "goloagent.http."):
        for routes in vars(importlib.import_module(module.name)).values():
            if isinstance(routes, type) and routes.__module__ == module.name:
                for operation, function in endpoints_of(routes):
                    yield operation, " ".join((function.__doc__ or "").partition("\n\n")[0].split())


def _routes() -> Iterator[str]:
    yield from ["| route | what it does | answers |", "|---|---|---|"]
    for operation, summary in sorted(operations(), key=lambda one: (one[0].path, one[0].method)):
        path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", operation.path)
        statuses = sorted({*operation.responses, *operation.errors})
        answers = ", ".join(map(str, statuses))
        yield f"| `{operation.method} {path}` | {summary} | {answers} |"
    yield ""
    always = [f"{status} ({meaning[0].lower()}{meaning[1:-1]})" for status, meaning in _always()]
    yield f"Any route: {'; '.join(always)}."


def _always() -> list[tuple[int, str]]:
    unrouted = {
        404: "The path does not exist.",
        405: "The method is not allowed; Allow lists those that are.",
    }
    return sorted({**COMMON_ERRORS, **unrouted}.items())


def _metrics() -> Iterator[str]:
    yield from ["| metric | type | meaning |", "|---|---|---|"]
    gauges = Gauges(
        ready=lambda: True,
        jobs=dict,
        delivery=lambda: "ok",
        log_bytes=lambda job: 0,
        free_bytes=lambda: {"logs": 0, "state": 0},
    )
    exporter = PrometheusExporter(Clock(), lambda: datetime.now(timezone.utc), gauges)
    for family in text_string_to_metric_families(exporter.expose("")[1].decode()):
        if family.name.startswith("golo_agent_"):
            labels = sorted({key for one in family.samples for key in one.labels} - {"le"})
            name = family.name + ("_total" if family.type == "counter" else "")
            shown = f"{name}{{{','.join(labels)}}}" if labels else name
            yield f"| `{shown}` | {family.type} | {family.documentation} |"


def _signals() -> Iterator[str]:
    yield from ["| signal | what the agent does |", "|---|---|"]
    for action in Action:
        names = [f"`{name}`" for name, what in ACTIONS.items() if what is action]
        if action is Action.IGNORE:
            names.append("real-time signals")
        yield f"| {', '.join(names)} | {action.value} |"


def _timeouts() -> Iterator[str]:
    yield from ["| option | default | what it does |", "|---|---|---|"]
    for name, default, text in TIMEOUTS:
        yield f"| `--{name} SECONDS` | {default} | {text} |"


if __name__ == "__main__":
    PAGE.write_text(render(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
