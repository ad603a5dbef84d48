"""Prints the agents, and their runs."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from goloagent.client import reactor
from goloagent.client.agents.access import Access, agents_of
from goloagent.client.run.lookup import names

_WIDTH = 120
"""Of a table where there is no terminal."""


def print_agents(access: Access, *, as_json: bool) -> None:
    """Print the agents that answer, and what they run.

    Raises:
        ClientError: there is none, or one of the provider does not answer.
    """

    async def work(the_reactor: Any) -> list[dict[str, Any]]:
        async with agents_of(the_reactor, access, os.environ) as agents:
            return [
                {
                    "agent": agent.name,
                    "address": str(agent.api.address),
                    "version": await agent.api.version(),
                    "status": agent.health["status"],
                    "reason": agent.health["reason"],
                    "running": [job["name"] for job in await agent.api.jobs(state="running")],
                    "queued": len(await agent.api.jobs(state="queued")),
                }
                for agent in agents
            ]

    found = reactor.run(work)
    if as_json:
        print(json.dumps(found, indent=2))
        return
    rows = [
        (
            agent["agent"],
            agent["version"],
            agent["status"] + (f": {agent['reason']}" if agent["reason"] else ""),
            ", ".join(agent["running"]) or "nothing",
            str(agent["queued"]),
        )
        for agent in found
    ]
    _print(("agent", "version", "status", "running", "queued"), rows)


def print_runs(access: Access, limit: int, *, as_json: bool) -> None:
    """Print the runs of the agents, the newest first.

    Raises:
        ClientError: there is no agent, or one of the provider does not answer.
    """

    async def work(the_reactor: Any) -> list[tuple[str, dict[str, Any]]]:
        async with agents_of(the_reactor, access, os.environ) as agents:
            return [
                (agent.name, job) for agent in agents for job in await agent.api.jobs(limit=limit)
            ]

    found = reactor.run(work)
    found.sort(key=lambda pair: str(pair[1]["queued_at"]), reverse=True)
    if as_json:
        print(json.dumps([{"agent": name, **job} for name, job in found[:limit]], indent=2))
        return
    rows = [_run_row(name, job) for name, job in found[:limit]]
    _print(("run", "name", "when", "load", "state", "verdict", "results", "agent"), rows)


def _run_row(agent: str, job: dict[str, Any]) -> tuple[str, ...]:
    verdict = job["verdict"]
    when = datetime.fromisoformat(str(job["queued_at"]).replace("Z", "+00:00")).astimezone()
    load = f"{job['rate']:g}/s" if job["rate"] else f"{job['users']} users"
    passed = "" if verdict is None else "passed" if verdict["passed"] else "failed"
    return (
        names(job)[0][:12],
        job["name"],
        f"{when:%Y-%m-%d %H:%M:%S}",
        f"{load}, {job['duration']} s",
        job["state"],
        passed,
        f"{job['results']['valid']:,}",
        agent,
    )


def _print(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = _WIDTH
    table = Table(box=None, header_style="bold", pad_edge=False)
    for head in heads:
        table.add_column(head, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell, "red" if cell == "failed" else "") for cell in row))
    console.print(table)
