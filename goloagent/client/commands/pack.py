"""``golo pack``: writes a load test in Python as one executable file."""

from __future__ import annotations

import os
from pathlib import Path

import click

from goloagent.client.errors import ClientError

_SIZE_UNITS = ((1 << 20, "MiB"), (1 << 10, "KiB"), (1, "B"))


@click.command("pack", short_help="make one executable file of a load test in Python")
@click.argument("script", type=click.Path(path_type=Path))
@click.option(
    "-r",
    "--requirements",
    type=click.Path(path_type=Path),
    help="A requirements file of pip.",
)
@click.option(
    "--with",
    "packages",
    multiple=True,
    metavar="PACKAGE",
    help="A package to include, such as 'httpx>=0.27'; may be repeated.",
)
@click.option(
    "-p",
    "--python",
    metavar="PYTHON",
    help="The Python on the agent: a version (3.11), a command or a path.  "
    "[default: the script's #! line, else python3]",
)
@click.option(
    "--platform",
    "platforms",
    multiple=True,
    metavar="PLATFORM",
    help="The agent's platform if it is another, such as manylinux2014_aarch64; may be repeated.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    required=True,
    help="The file to write.",
)
@click.option("--force", is_flag=True, help="Replace FILE if it exists.")
def pack_command(
    script: Path,
    requirements: Path | None,
    packages: tuple[str, ...],
    python: str | None,
    platforms: tuple[str, ...],
    output: Path,
    force: bool,
) -> None:
    """Make one executable file of a load test in Python, with its packages and the SDK.

    The packages are those of --requirements, --with and the script's inline metadata (PEP 723).
    An agent runs the file with nothing installed but Python 3.8 or newer.
    """
    from goloagent.client import packing

    if output.exists() and not force:
        raise ClientError(f"{output} exists: use --force to replace it, or another --output")
    if not os.access(output.parent, os.W_OK):
        raise ClientError(f"cannot write into {output.parent}: use another --output")
    content = packing.pack(script, requirements, packages, python, platforms)
    _write(output, content)
    size, unit = next((size, unit) for size, unit in _SIZE_UNITS if len(content) >= size)
    click.echo(f"{output}: {len(content) / size:.3g} {unit}")


def _write(output: Path, content: bytes) -> None:
    """Write an executable file; one that exists is replaced as a whole."""
    new = output.with_name(f".{output.name}.new")
    try:
        new.write_bytes(content)
        new.chmod(0o755)
        new.replace(output)
    except OSError as error:
        new.unlink(missing_ok=True)
        raise ClientError(
            f"cannot write {output}: {error.strerror}; use another --output"
        ) from None
