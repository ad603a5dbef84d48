"""``golo check``: all that ``golo run`` does before it uploads."""

from __future__ import annotations

import os
from datetime import datetime, timezone
from typing import Any

import click

from goloagent.client.config.given import given_of
from goloagent.client.config.run_options import run_options


@click.command("check")
@click.argument("job", required=False)
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
@run_options
@click.option("--offline", is_flag=True, help="do not ask the agents")
@click.pass_context
def check_command(context: click.Context, /, **_: Any) -> None:
    """Check JOB and the agents, and print the plan. Nothing is uploaded, and nothing runs."""
    from goloagent.client.config.make_plan import make_plan
    from goloagent.client.run.check import check

    plan = make_plan(given_of(context), os.environ, datetime.now(timezone.utc))
    click.echo(check(plan, os.environ, offline=context.params["offline"]))
