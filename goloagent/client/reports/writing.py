"""Writes the report of a run that a person names."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from goloagent.client.errors import ClientError
from goloagent.client.reports.files import refused_if_damaged
from goloagent.client.reports.sources import sources_in
from goloagent.client.run.files import STDOUT, write_file
from goloagent.report import codec
from goloagent.report.html import render
from goloagent.report.model import Report

if TYPE_CHECKING:
    from goloagent.client.agents.access import Access


def write_report(run: str, access: Access, output: Path | None, *, as_json: bool) -> Path | None:
    """Write a report as HTML or JSON; return the file, or None for stdout.

    Args:
        run: a file, or what names a run.

    Raises:
        ClientError: there is no such run or report, or the file cannot be written.
    """
    report = _found(run, access)
    with refused_if_damaged(run):
        content = codec.encode(report) + b"\n" if as_json else render(report)
    path = output or (STDOUT if as_json else Path(file_name(report)))
    if path == STDOUT:
        sys.stdout.buffer.write(content)
        return None
    write_file(path, lambda: content)
    return path


def file_name(report: Report) -> str:
    """Return the name of a report's file: that of its job, and the beginning of its run's id."""
    name = re.sub(r"[^\w.-]", "_", report.name).lstrip(".-")[:80]
    return f"{name}-{re.sub(r'[^A-Za-z0-9]', '', report.run)[:8]}.html"


def _found(run: str, access: Access) -> Report:
    [source, *more] = sources_in(run)
    if more:
        raise ClientError(
            f"{run} has {len(more) + 1} reports: write a file of one of them, "
            "or compare them by golo compare"
        )
    return source if isinstance(source, Report) else _fetched(source, access)


def _fetched(run: str, access: Access) -> Report:
    from goloagent.client import reactor
    from goloagent.client.agents.access import agents_of
    from goloagent.client.reports.fetch import fetch

    async def work(the_reactor: Any) -> Report:
        async with agents_of(the_reactor, access, os.environ) as agents:
            return await fetch(agents, run, while_running=True)

    return reactor.run(work)
