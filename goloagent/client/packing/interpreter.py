"""The Python on this machine that stands for the agent's: pip installs packages for it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys

import attrs

from goloagent.client.errors import ClientError
from goloagent.client.packing.target import Target, is_python

_TIMEOUT_SECONDS = 30
_VERSION = "import sys; print(*sys.version_info[:2])"


def resolve(target: Target) -> tuple[str, Target]:
    """Return the path of the interpreter of a target, and the target with its version.

    Raises:
        ClientError: it is not on this machine, does not run, or is older than Python 3.8.
    """
    [*_, command] = (word for word in target.interpreter.split() if is_python(word))
    name = os.path.basename(command)  # noqa: PTH119  not a path if it has no directory
    path = shutil.which(command) or shutil.which(name)
    if path is None:
        if target.version not in (None, sys.version_info[:2]):
            raise ClientError(
                f"{name}, for which the packages are installed, is not on this machine: install "
                "it, or pack the load test where it is"
            )
        path = sys.executable
    version = _version(path)
    if target.version is not None and version != target.version:
        raise ClientError(f"{path} is Python {version[0]}.{version[1]}: use --python with its path")
    return path, attrs.evolve(target, version=version).checked()


def _version(path: str) -> tuple[int, int]:
    if os.path.realpath(path) == os.path.realpath(sys.executable):
        return sys.version_info[:2]
    try:
        done = subprocess.run(
            [path, "-I", "-c", _VERSION],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )
        output = done.stdout
    except (OSError, subprocess.TimeoutExpired):
        output = ""
    numbers = re.fullmatch(r"(\d+) (\d+)\n", output)
    if numbers is None:
        raise ClientError(f"{path} does not run: use --python with another Python")
    return int(numbers[1]), int(numbers[2])
