"""The Python of the agent, for which packages are installed."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence

import attrs

from goloagent.client.errors import ClientError

DEFAULT_INTERPRETER = "/usr/bin/env python3"
OLDEST = (3, 8)
# Linux before 5.1 cuts a longer line, and the script's interpreter is then another file.
_MAX_INTERPRETER = 125
_MACHINES = ("x86_64", "aarch64", "armv7l", "i686", "ppc64le", "riscv64", "s390x")
_VERSION = re.compile(r"3\.\d{1,2}")
_COMMAND = re.compile(r"(?:.*/)?(?:python|pypy)(?:3(?:\.\d{1,2})?)?")


@attrs.frozen
class Target:
    """An interpreter.

    Args:
        interpreter: what follows ``#!``.
        version: major and minor version; None if the interpreter names none.
        platforms: pip's names of the platform; empty for this one.
    """

    interpreter: str
    version: tuple[int, int] | None
    platforms: tuple[str, ...] = ()

    @classmethod
    def of(cls, python: str | None, platforms: Sequence[str] = ()) -> Target:
        """Return the target of a version (3.11), a command (python3.11), a path or a ``#!`` line.

        Raises:
            ClientError: it is none of these, or older than Python 3.8.
        """
        if python is None:
            interpreter = DEFAULT_INTERPRETER
        elif _VERSION.fullmatch(python):
            interpreter = f"/usr/bin/env python{python}"
        else:
            words = python.removeprefix("#!").split(" ")
            if not any(_COMMAND.fullmatch(word) for word in words) or not python.isprintable():
                raise ClientError(
                    f"--python {python!r} is not a version (3.11), a command (python3.11) or the "
                    "path of a Python: correct it"
                )
            found = python.removeprefix("#!").strip()
            interpreter = found if "/" in found else f"/usr/bin/env {found}"
        if len(interpreter.encode()) > _MAX_INTERPRETER:
            raise ClientError(
                f"--python is longer than {_MAX_INTERPRETER} bytes, which Linux does not run: "
                "use a shorter path"
            )
        version = None
        if named := re.search(r"(?:python|pypy)3\.(\d{1,2})", interpreter):
            version = (3, int(named[1]))
        return cls(interpreter, version, tuple(platforms)).checked()

    def checked(self) -> Target:
        """Return it.

        Raises:
            ClientError: it is older than Python 3.8.
        """
        if self.version is not None and self.version < OLDEST:
            raise ClientError(
                f"the SDK needs Python 3.8 or newer, and {self.interpreter!r} is older: use "
                "--python"
            )
        return self

    @property
    def name(self) -> str:
        """The name that the bootstrap makes of itself, such as ``Python 3.11 on linux x86_64``."""
        assert self.version is not None
        version = f"Python {self.version[0]}.{self.version[1]}"
        here = os.uname().machine
        for platform in self.platforms[:1]:
            machine = next((name for name in _MACHINES if platform.endswith(name)), here)
            return f"{version} on linux {machine}"
        return f"{version} on {sys.platform} {here}"


def is_python(command: str) -> bool:
    """Return whether a ``#!`` line without its mark runs a Python."""
    return any(_COMMAND.fullmatch(word) for word in command.split())
