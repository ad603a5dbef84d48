"""Follows a run that another client has started."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import IO, Any

from goloagent.client import reactor
from goloagent.client.agents.access import Access, agents_of
from goloagent.client.config.make_plan import report_plan
from goloagent.client.run.agent_run import AgentRun
from goloagent.client.run.files import STDOUT, written
from goloagent.client.run.following import Following
from goloagent.client.run.lookup import find_run
from goloagent.client.view.choice import view_for
from goloagent.client.view.github import publish


def attach(
    access: Access,
    run: str,
    options: Mapping[str, Any],
    stdout: IO[str],
    environ: Mapping[str, str],
    *,
    quiet: bool,
) -> int:
    """Show a run to its end, write its files, and return its exit code.

    Args:
        options: those of the report.

    Raises:
        ClientError: there is no such run, or an option is wrong.
    """
    plan = report_plan(options)
    following: list[Following] = []

    async def work(the_reactor: Any) -> int:
        async with agents_of(the_reactor, access, environ) as agents:
            found = await find_run(agents, run)
            shown = sys.stderr if plan.json == STDOUT else stdout
            view = view_for(shown, environ, the_reactor, quiet=quiet)
            try:
                view.attached(found.job["name"], plan)
                agent_run = AgentRun(
                    the_reactor, found.agent.api, found.agent.name, found.job["id"], view
                )
                follow = Following(the_reactor, agent_run, view, plan)
                following.append(follow)
                report = await follow.to_the_end()
                view.ended(report)
            finally:
                view.close()
            for line in publish(report, environ):
                print(line, file=shown, flush=True)
            assert report.outcome is not None
            return written(plan, [report], stdout, report.outcome.exit_code)

    def interrupt() -> None:
        # The run goes on: only its client ends.
        if following:
            following[0].detach()

    return reactor.run(work, interrupt)
