"""``golo run``: from a program to a verdict and an exit code."""

from __future__ import annotations

import os
import sys
from datetime import datetime, timezone
from typing import Any

import click

from goloagent.client.config.given import given_of
from goloagent.client.config.run_options import run_options


@click.command(
    "run",
    epilog="Each option is also a variable: --token-file is GOLO_TOKEN_FILE. Options win over "
    "variables, and variables over the job file.",
)
@click.argument("job", required=False)
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
@run_options
@click.option("--detach", is_flag=True, help="end when the job is queued; see golo attach")
@click.option("--quiet", "-q", is_flag=True, help="print the verdict only")
@click.pass_context
def run_command(context: click.Context, /, **_: Any) -> int:
    r"""Run a load test, and end with a verdict.

    JOB is a program, a Python script, a URL or a job file (TOML, YAML). Words after -- are
    arguments of the load test or, with --exec, the command.

    \b
      golo run ./my-loadtest --users 25 --duration 30s
      golo run my_test.py --env TARGET=http://localhost:8000
      golo run http://localhost:8000 --rate 200 -t 'duration: p(95)<250ms'
      golo run --exec -- curl -sf http://localhost:8000
    """
    from goloagent.client.config.make_plan import make_plan
    from goloagent.client.run.session import Session

    given = given_of(context)
    plan = make_plan(given, os.environ, datetime.now(timezone.utc))
    return Session(plan, sys.stdout, os.environ, quiet=context.params["quiet"]).run()
