"""Prints the log of a run."""

from __future__ import annotations

import os
from typing import IO, Any

from goloagent.client import reactor
from goloagent.client.agents.access import Access, agents_of
from goloagent.client.agents.json_client import AgentError
from goloagent.client.run.lookup import find_run


def print_log(access: Access, run: str, name: str, *, follow: bool, to: IO[bytes]) -> None:
    """Write a log, ``out.log`` or ``err.log``, to a file; with `follow` until the job is over.

    Raises:
        ClientError: there is no such run, or it has no log.
    """
    failures: list[OSError] = []

    def write(data: bytes) -> None:
        try:
            to.write(data)
            to.flush()
        except OSError as error:
            failures.append(error)
            raise

    async def work(the_reactor: Any) -> None:
        async with agents_of(the_reactor, access, os.environ) as agents:
            found = await find_run(agents, run)
            path = f"/jobs/{found.job['id']}/{name}{'?follow=true' if follow else ''}"
            try:
                await found.agent.api.download(path, write)
            except AgentError as error:
                # The agent is not at fault if the reader has closed the pipe.
                raise (failures[0] if failures else error) from None

    reactor.run(work)
