"""The interpreters of this machine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from peers.readme import SYSTEM_PATH


def pythons() -> list[str]:
    """Return this Python and every installed one from 3.8 on."""
    found = {sys.executable}
    places = [*map(Path, SYSTEM_PATH.split(":")), *Path.home().glob(".pyenv/versions/*/bin")]
    for place in places:
        for python in place.glob("python3.[0-9]*"):
            minor = python.name.removeprefix("python3.")
            if minor.isdecimal() and int(minor) >= 8:
                found.add(str(python))
    return sorted(found)


def system_python() -> str:
    """Return the version of the system's Python."""
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    command = ["/usr/bin/env", "python3", "-I", "-c", code]
    done = subprocess.run(
        command, env={"PATH": SYSTEM_PATH}, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()
