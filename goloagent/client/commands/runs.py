"""``golo runs``: the runs of the agents."""

from __future__ import annotations

from typing import Any

import click

from goloagent.client.config.access_options import access_of, access_options


@click.command("runs")
@click.option(
    "--limit", "-n", default=20, type=click.IntRange(1, 1000), help="how many", show_default=True
)
@click.option("--json", "as_json", is_flag=True, help="print jobs as JSON, as of the API")
@access_options
def runs_command(limit: int, as_json: bool, **options: Any) -> None:
    """List the runs of the agents, the newest first."""
    from goloagent.client.run.lists import print_runs

    print_runs(access_of(options), limit, as_json=as_json)
