"""Finds reports by what a person types: files, directories, or ids of runs."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from goloagent.client.errors import ClientError
from goloagent.client.reports.files import SUFFIXES, read_reports, unique
from goloagent.report.model import Report

if TYPE_CHECKING:
    from goloagent.client.agents.access import Access

Source = Report | str
"""A report that was read, or the id of a run that an agent has to be asked for."""


def load(texts: Sequence[str], access: Access) -> list[list[Report]]:
    """Return the reports of each list; agents are asked only if it has the id of a run.

    Raises:
        ClientError: a name is no report and no run that is over.
    """
    found = [sources_in(text) for text in texts]
    known = [unique([one for one in side if isinstance(one, Report)]) for side in found]
    if not any(isinstance(one, str) for side in found for one in side):
        return known
    from goloagent.client import reactor

    async def work(the_reactor: Any) -> list[list[Report]]:
        return [await fetched(the_reactor, access, os.environ, side) for side in found]

    return reactor.run(work)


def sources_in(text: str) -> list[Source]:
    """Return the reports in the files of a list that is separated by commas, and ids of runs.

    Raises:
        ClientError: a file is no report, or a name is empty.
    """
    if text and Path(text).exists():  # also one with commas in its name
        return [*read_reports(Path(text))]
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise ClientError(f'"{text}" has an empty name: separate reports by one comma each')
    return [source for name in names for source in _source(name)]


def _source(name: str) -> list[Source]:
    path = Path(name)
    if path.exists():
        return [*read_reports(path)]
    if path.suffix in SUFFIXES or "/" in name:
        raise ClientError(f"{name}: there is no such file; give a report of golo run --json")
    return [name]


async def fetched(
    reactor: Any, access: Access, environ: Mapping[str, str], sources: Sequence[Source]
) -> list[Report]:
    """Return the reports of sources, each run once; those that are ids are asked for.

    Raises:
        ClientError: there is no such run, or it is not over.
    """
    if all(isinstance(one, Report) for one in sources):
        return unique([one for one in sources if isinstance(one, Report)])
    from goloagent.client.agents.access import agents_of
    from goloagent.client.reports.fetch import fetch

    async with agents_of(reactor, access, environ) as agents:
        return unique(
            [one if isinstance(one, Report) else await fetch(agents, one) for one in sources]
        )
