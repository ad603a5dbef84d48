"""``golo agents``: the agents and what they do."""

from __future__ import annotations

from typing import Any

import click

from goloagent.client.config.access_options import access_of, access_options


@click.command("agents")
@click.option("--json", "as_json", is_flag=True, help="print JSON")
@access_options
def agents_command(as_json: bool, **options: Any) -> None:
    """List the agents, whether they are ready, and what they run."""
    from goloagent.client.run.lists import print_agents

    print_agents(access_of(options), as_json=as_json)
