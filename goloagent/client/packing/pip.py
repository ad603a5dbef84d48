"""Installs the packages of a load test into a directory, with pip."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from goloagent.client.errors import ClientError

# A mirror that does not answer, or a package that compiles.
_TIMEOUT_SECONDS = 1800
_MAX_REASON = 500
_NO_PIP = "No module named pip"
# The pip of golo's Python may be too new for an old one, which has its own.
_TRY_ANOTHER = (_NO_PIP, "This version of pip does not support python")
# They contradict --target.
_ENVIRONMENT = {"PIP_REQUIRE_VIRTUALENV": "0", "PIP_USER": "0", "PIP_NO_INPUT": "1"}


def install(
    packages: Sequence[str],
    requirements: Path | None,
    directory: Path,
    platforms: Sequence[str],
    python: str,
    name: str,
) -> None:
    """Install packages and those of a requirements file into an empty directory.

    Args:
        python: the Python for which they are.
        name: the script, for errors.

    Raises:
        ClientError: there is no pip, the file cannot be read, or a requirement cannot be installed.
    """
    if requirements is not None and not os.access(requirements, os.R_OK):
        raise ClientError(f"cannot read the requirements file {requirements}: correct its path")
    for runner in dict.fromkeys((sys.executable, python)):
        command = arguments(packages, requirements, directory, platforms, python, runner)
        try:
            done = subprocess.run(
                [runner, "-m", "pip", *command],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                env={**os.environ, **_ENVIRONMENT},
                timeout=_TIMEOUT_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise ClientError(
                f"pip has not installed the packages of {name} within {_TIMEOUT_SECONDS // 60} "
                "minutes: try again, or give --with fewer packages"
            ) from None
        if not any(text in done.stderr for text in _TRY_ANOTHER):
            break
    if done.returncode != 0:
        raise ClientError(failure(done.stderr, name))


def arguments(
    packages: Sequence[str],
    requirements: Path | None,
    directory: Path,
    platforms: Sequence[str],
    python: str,
    runner: str,
) -> list[str]:
    """Return the arguments of pip, for `python`, when it runs in `runner`.

    Not ``--python-version``, with which it resolves conditional requirements for its own Python.
    """
    command = [] if python == runner else ["--python", python]
    command += ["install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    command += ["--target", str(directory)]
    if platforms:
        command += ["--only-binary=:all:"]  # pip does not compile for another platform
    for platform in platforms:
        command += ["--platform", platform]
    if requirements is not None:
        command += ["--requirement", str(requirements)]
    return [*command, "--", *packages]


def failure(stderr: str, name: str) -> str:
    """Return a sentence for what pip printed."""
    if _NO_PIP in stderr:
        return (
            f"{sys.executable} has no pip, which installs the packages of {name}: run "
            f"{sys.executable} -m ensurepip, or install golo-agent[pack]"
        )
    lines = [line for line in stderr.splitlines() if line.strip()] or ["it printed no reason"]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    reason = (errors or lines)[-1].strip().rstrip(".")[:_MAX_REASON]
    return (
        f"pip cannot install the packages of {name}: {reason}; correct the requirement, or the "
        "index that pip uses"
    )
