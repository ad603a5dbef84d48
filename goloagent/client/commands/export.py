"""``golo export``: the results of a run for other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from goloagent.client.config.access_options import access_of, access_options
from goloagent.client.errors import ClientError

_FILES = (
    ("--csv", "the results as a table"),
    ("--jsonl", "the results as the load test has printed them, one line of JSON each"),
    ("--parquet", "the results as a Parquet file; needs the extra golo-agent[parquet]"),
    ("--timeline-csv", "a row for each second: load, counts and latency"),
    ("--hlog", "a histogram of each second, for the tools of HdrHistogram"),
)


def _file_options(command: Any) -> Any:
    for name, text in reversed(_FILES):
        option = click.option(name, type=click.Path(path_type=Path), metavar="FILE", help=text)
        command = option(command)
    return command


@click.command("export")
@click.argument("run", default="last")
@_file_options
@access_options
def export_command(run: str, **options: Any) -> None:
    r"""Write the results of RUN, an id or `last`, as files of other tools.

    The agent must still have the log of the run. FILE is - for stdout.

    \b
      golo export last --csv results.csv --timeline-csv seconds.csv
      golo export 4f1c --parquet results.parquet --provider env
    """
    from goloagent.client.export.export import export

    names = [name.removeprefix("--").replace("-", "_") for name, _ in _FILES]
    files = {name: options[name] for name in names if options[name] is not None}
    if not files:
        raise ClientError("nothing to write: give --csv FILE or another; see golo export --help")
    for sentence in export(access_of(options), run, files):
        click.echo(sentence, err=True)
