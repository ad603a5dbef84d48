"""``golo stop``: end a run in order, or cancel it."""

from __future__ import annotations

from typing import Any

import click

from goloagent.client.config.access_options import access_of, access_options


@click.command("stop")
@click.argument("run")
@click.option("--cancel", is_flag=True, help="do not wait for calls in flight; the run fails")
@access_options
def stop_command(run: str, cancel: bool, **options: Any) -> None:
    """End the load of RUN in order: calls in flight return, and it has a verdict."""
    from goloagent.client.run.steering import stop

    click.echo(stop(access_of(options), run, cancel=cancel))
