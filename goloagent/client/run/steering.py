"""Ends a run or changes its load, from another terminal."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Any

from goloagent.client import reactor
from goloagent.client.agents.access import Access, agents_of
from goloagent.client.errors import ClientError
from goloagent.client.run.lookup import FoundRun, find_run, names
from goloagent.report.builder import OVER

_NUMBERS = ("users", "rate")


def stop(access: Access, run: str, *, cancel: bool) -> str:
    """End a run, or cancel it; return a sentence.

    Raises:
        ClientError: there is no such run, or it is over.
    """

    async def work(the_reactor: Any) -> str:
        async with agents_of(the_reactor, access, os.environ) as agents:
            found = await find_run(agents, run)
            _check_open(found)
            api, job = found.agent.api, found.job["id"]
            if cancel or found.job["state"] != "running":
                await api.cancel(job)
                return f"run {names(found.job)[0]} is being cancelled"
            await api.change(job, {"duration": 0})
            return f"run {names(found.job)[0]} ends: calls in flight return first"

    return reactor.run(work)


def change(access: Access, run: str, changes: Sequence[str]) -> str:
    """Change the load of a run; return a sentence.

    Raises:
        ClientError: there is no such run, it is not running, or a change is wrong.
    """
    members = parse_changes(changes)

    async def work(the_reactor: Any) -> str:
        async with agents_of(the_reactor, access, os.environ) as agents:
            found = await find_run(agents, run)
            _check_open(found)
            await found.agent.api.change(found.job["id"], members)
            return f"run {names(found.job)[0]}: {', '.join(changes)}"

    return reactor.run(work)


def parse_changes(changes: Sequence[str]) -> dict[str, Any]:
    """Return the members of a PATCH for texts such as ``rate=800`` and ``pause``.

    Raises:
        ClientError: one is wrong.
    """
    members: dict[str, Any] = {}
    for text in changes:
        name, _, value = text.partition("=")
        if text in ("pause", "resume"):
            members["paused"] = text == "pause"
        elif name in _NUMBERS and re.fullmatch(r"\d{1,9}(\.\d+)?", value, re.ASCII):
            members[name] = float(value) if "." in value else int(value)
        elif name == "duration" and value:
            members[name] = value
        else:
            raise ClientError(
                f"{text}: write users=50, rate=800, duration=5m (from the start), pause or resume"
            )
    return members


def _check_open(found: FoundRun) -> None:
    if found.job["state"] in OVER:
        raise ClientError(f"run {names(found.job)[0]} is over: it is {found.job['state']}")
