"""``golo report``: the report of a run as one HTML file, or as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from goloagent.client.config.access_options import access_of, access_options


@click.command("report")
@click.argument("run", default="last")
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="the file to write, - for stdout  [default: NAME-RUN.html; with --json stdout]",
)
@click.option("--json", "as_json", is_flag=True, help="write the data as JSON")
@access_options
def report_command(run: str, output: Path | None, as_json: bool, **options: Any) -> None:
    r"""Write the report of RUN, also while it runs.

    RUN is the id of a run or job, its beginning, `last`, or a report file (.html, .json), of which
    an HTML file is made again.

    \b
      golo report
      golo report 4f1c -o checkout.html
      golo report checkout.html --json
    """
    from goloagent.client.reports.writing import write_report

    written = write_report(run, access_of(options), output, as_json=as_json)
    if written is not None:
        click.echo(f"wrote {written}")
