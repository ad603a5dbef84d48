"""Fetches the report of a run from its agent."""

from __future__ import annotations

from collections.abc import Sequence

from goloagent.client.agents.access import Agent
from goloagent.client.errors import ClientError
from goloagent.client.run.agent_run import part_of
from goloagent.client.run.lookup import find_run
from goloagent.report.builder import OVER, build
from goloagent.report.model import Report


async def fetch(agents: Sequence[Agent], run: str, *, while_running: bool = False) -> Report:
    """Return the report of a run that is over, or up to now.

    Raises:
        ClientError: there is no such run, or it is not over.
    """
    found = await find_run(agents, run)
    if found.job["state"] not in OVER and not while_running:
        raise ClientError(
            f"run {run} is not over ({found.job['state']}): wait for it by golo attach {run}"
        )
    return build([await part_of(found.agent.api, found.agent.name, found.job)])
