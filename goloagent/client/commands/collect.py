"""``golo collect``: a collector that delivers to outputs."""

from __future__ import annotations

import sys

import click


@click.command(
    "collect",
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
    add_help_option=False,
)
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def collect_command(options: tuple[str, ...]) -> None:
    r"""Take results as a collector, and deliver them to outputs.

    \b
      golo collect --output archive=jsonl:/srv/results.jsonl
      golo-agent --collector http://localhost:8082

    `golo collect --help` lists the options.
    """
    from twisted.scripts.twistd import run

    # Twisted's runner reads the command line of the process.
    sys.argv[1:] = ["--nodaemon", "--pidfile=", "golo-collect", *options]
    run()
