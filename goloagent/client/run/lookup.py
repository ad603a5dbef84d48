"""Finds a run on agents by what a person types: a run's or job's id, its beginning, or ``last``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from goloagent.client.agents.access import Agent
from goloagent.client.errors import ClientError

MIN_PREFIX = 4
MAX_LISTED = 1000
LAST = "last"


@attrs.frozen
class FoundRun:
    """A run's job on an agent."""

    agent: Agent
    job: dict[str, Any]


async def find_run(agents: Sequence[Agent], text: str) -> FoundRun:
    """Return the run that a text names.

    Raises:
        ClientError: there is none, or several.
    """
    if text != LAST and len(text) < MIN_PREFIX:
        raise ClientError(
            f'run "{text}": give its id, at least {MIN_PREFIX} characters of it, or {LAST}'
        )
    listed = [
        FoundRun(agent, job) for agent in agents for job in await agent.api.jobs(limit=MAX_LISTED)
    ]
    if text == LAST:
        found = sorted(listed, key=lambda one: str(one.job["queued_at"]))[-1:]
    else:
        found = [one for one in listed if any(name.startswith(text) for name in names(one.job))]
        exact = [one for one in found if text in names(one.job)]
        found = exact or found
    if not found:
        asked = ", ".join(agent.name for agent in agents)
        raise ClientError(f'there is no run "{text}" on {asked}; golo runs lists them')
    if len(found) > 1:
        ids = ", ".join(names(one.job)[0] for one in found[:5])
        raise ClientError(f'"{text}" may be {ids}: write more of it')
    [run] = found
    return attrs.evolve(run, job=await run.agent.api.job(str(run.job["id"])))


def names(job: dict[str, Any]) -> list[str]:
    """Return the ids of a job: that of its run first."""
    run = job["run"]
    return [*([str(run["id"])] if run else []), str(job["id"])]
