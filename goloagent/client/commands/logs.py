"""``golo logs``: the log of a run."""

from __future__ import annotations

import sys
from typing import Any

import click

from goloagent.client.config.access_options import access_of, access_options


@click.command("logs")
@click.argument("run", default="last")
@click.option("--follow", "-f", is_flag=True, help="print what is written from now on too")
@click.option("--stderr", is_flag=True, help="print stderr instead of the results")
@access_options
def logs_command(run: str, follow: bool, stderr: bool, **options: Any) -> None:
    """Print what the load test of RUN has written: its results, one line of JSON each."""
    from goloagent.client.run.logs import print_log

    print_log(
        access_of(options),
        run,
        "err.log" if stderr else "out.log",
        follow=follow,
        to=sys.stdout.buffer,
    )
