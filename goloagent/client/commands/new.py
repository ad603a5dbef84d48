"""``golo new``: a load test to start from."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from goloagent.client import project


def _languages(_context: click.Context, _argument: click.Parameter, start: str) -> list[str]:
    """Return the languages that the shell may complete `start` to."""
    return [language for language in project.BUILD_COMMANDS if language.startswith(start)]


@click.command("new")
@click.argument("language", shell_complete=_languages)
@click.argument("directory", type=click.Path(path_type=Path))
def new_command(language: str, directory: Path) -> None:
    r"""Start a load test in LANGUAGE, in the new or empty DIRECTORY.

    LANGUAGE is python, go, node, java, rust or shell. The load test sends GET requests to a URL.

    \b
      golo new python my-loadtest
      cd my-loadtest
      golo run golo.toml
    """
    files = project.create(language, directory)
    click.echo(f"{directory} has a load test: {', '.join(map(str, files))}. To run it:\n")
    for command in (
        f"cd {shlex.quote(str(directory))}",
        project.BUILD_COMMANDS[language],
        "golo run golo.toml",
    ):
        if command is not None:
            click.echo(f"    {command}")
