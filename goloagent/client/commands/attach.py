"""``golo attach``: follow a run again."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from goloagent.client.config.access_options import access_of, access_options
from goloagent.client.config.run_options import report_options


@click.command("attach")
@click.argument("run", default="last")
@report_options
@click.option("--quiet", "-q", is_flag=True, help="print the verdict only")
@access_options
def attach_command(**options: Any) -> int:
    """Follow RUN, an id or `last`, to its verdict and exit code, as golo run does."""
    from goloagent.client.run.attach import attach

    given = {name: value for name, value in options.items() if value is not None}
    return attach(
        access_of(options),
        options["run"],
        given,
        sys.stdout,
        os.environ,
        quiet=options["quiet"],
    )
