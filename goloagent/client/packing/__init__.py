"""A load test in Python as one executable file: the script, the SDK and its packages.

The file is a zip archive after a ``#!`` line, which Python runs by `bootstrap`: it unpacks the
archive into the job's directory, because compiled packages cannot be imported from an archive.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from goloagent.client.packing import archive, interpreter, own_modules, pip
from goloagent.client.packing.script import Script
from goloagent.client.packing.target import Target


def pack(
    path: Path,
    requirements: Path | None = None,
    packages: Sequence[str] = (),
    python: str | None = None,
    platforms: Sequence[str] = (),
) -> bytes:
    """Return the executable file of a script, the modules beside it, its packages and the SDK.

    The same bytes for the same script and the same versions of its packages.

    Args:
        requirements: a requirements file of pip.
        packages: further requirements; those in the script's inline metadata are added.
        python: the Python on the agent, a version or a ``#!`` line; by default the script's own.
        platforms: pip's names of the agent's platform, if it is not this one.

    Raises:
        ClientError: the script is not Python, or pip cannot install a requirement.
    """
    script = Script.read(path)
    target = Target.of(python or script.interpreter, platforms)
    local, target = interpreter.resolve(target)
    script.check_syntax(target.version)
    wanted = [*script.dependencies, *packages]
    with TemporaryDirectory(prefix="golo-pack-") as directory:
        installed = Path(directory)
        if wanted or requirements is not None:
            pip.install(wanted, requirements, installed, platforms, local, path.name)
        own = own_modules.find(path, script.content)
        return archive.build(script, own, installed, target)


def program_of(
    path: Path, requirements: Path | None = None, python: str | None = None
) -> Path | bytes:
    """Return what an agent runs for a script.

    Returns:
        `path` if the script can be run as it is; the script with a ``#!`` line; or, if the script
        has requirements or imports modules beside it, the file of `pack`.

    Raises:
        ClientError: as for `pack`.
    """
    script = Script.read(path)
    has_modules = bool(own_modules.find(path, script.content))
    if script.dependencies or requirements is not None or has_modules:
        return pack(path, requirements, python=python)
    target = Target.of(python or script.interpreter)
    script.check_syntax(target.version)
    program = script.with_interpreter(target.interpreter)
    return path if program == script.content else program
