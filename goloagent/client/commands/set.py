"""``golo set``: change the load of a run."""

from __future__ import annotations

from typing import Any

import click

from goloagent.client.config.access_options import access_of, access_options


@click.command("set")
@click.argument("run")
@click.argument("changes", nargs=-1, required=True)
@access_options
def set_command(run: str, changes: tuple[str, ...], **options: Any) -> None:
    r"""Change the load of RUN while it runs.

    \b
    CHANGES are users=N, rate=N, duration=TIME from its start, pause, resume:
      golo set last rate=800
    """
    from goloagent.client.run.steering import change

    click.echo(change(access_of(options), run, changes))
