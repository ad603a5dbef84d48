"""Where the program of a run comes from, and the file that is uploaded for it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import attrs

from goloagent.client.errors import ClientError, reason_of
from goloagent.core.address import AddressError, HttpUrl

Kind = Literal["file", "python", "command", "url"]
_ELF, _SCRIPT = b"\x7fELF", b"#!"
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_.-]+")


@attrs.frozen
class ProgramSource:
    """A program.

    Args:
        kind: an executable ``file``, a ``python`` script, a ``command`` that each iteration runs,
            or a ``url`` that each iteration gets.
        path: of a file or a script.
        words: of the command, or the URL alone.
        requirements: of a script.
    """

    kind: Kind
    path: Path | None = None
    words: tuple[str, ...] = ()
    requirements: Path | None = None

    @property
    def name(self) -> str:
        """A name for the job, of the characters that a name may have."""
        if self.path is not None:
            text = self.path.stem
        elif self.kind == "url":
            text = HttpUrl.parse(_without_query(self.words[0])).host
        else:
            text = Path(self.words[0]).name
        return _NOT_IN_NAMES.sub("-", text).strip("-.")[:64] or "loadtest"

    def __str__(self) -> str:
        """Return it to show."""
        return str(self.path) if self.path is not None else " ".join(self.words)


def file_source(path: Path, requirements: Path | None = None) -> ProgramSource:
    """Return the source of a program in a file.

    Raises:
        ClientError: it cannot be read, or is no program.
    """
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise ClientError(f"{path} is a pipe or a device; give a file")
        with path.open("rb") as file:
            head = file.read(4)
    except OSError as error:
        raise ClientError(f"{path}: {reason_of(error)}") from None
    if path.suffix == ".py":
        return ProgramSource("python", path, requirements=requirements)
    if requirements is not None:
        raise ClientError(f"--requirements is for a Python script, and {path} is none")
    if not head:
        raise ClientError(f"{path} is empty; give a program")
    if not head.startswith((_ELF, _SCRIPT)):
        raise ClientError(
            f"{path} is not a program: it is neither an executable (ELF), nor a script that starts "
            "with #!, nor a .py file"
        )
    return ProgramSource("file", path)


def command_source(words: Sequence[str]) -> ProgramSource:
    """Return the source of ``--exec``.

    Raises:
        ClientError: there is no command.
    """
    if not words:
        raise ClientError("--exec needs a command: golo run --exec -- curl -s http://localhost/")
    return ProgramSource("command", words=tuple(words))


def check_command(program: ProgramSource, path: str | None) -> None:
    """Check that this host, on which it will run, has the command of a program that is one.

    Args:
        path: $PATH of the load test.

    Raises:
        ClientError: it has not.
    """
    is_option = program.words[:1] and program.words[0].startswith("-")
    if (
        program.kind == "command"
        and not is_option
        and shutil.which(program.words[0], path=path) is None
    ):
        raise ClientError(f"command not found: {program.words[0]}; install it, or give its path")


def is_url(text: str) -> bool:
    """Return whether a job is a URL."""
    return text.lower().startswith(("http://", "https://"))


def url_source(url: str) -> ProgramSource:
    """Return the source of a URL.

    Raises:
        ClientError: nothing can connect to it.
    """
    try:
        parsed = HttpUrl.parse(_without_query(url))
    except AddressError as error:
        raise ClientError(f"{url}: {error}") from None
    if parsed.userinfo is not None:
        raise ClientError("give credentials by --header 'Authorization: ...', not in the URL")
    return ProgramSource("url", words=(url.partition("#")[0],))


def _without_query(url: str) -> str:
    return re.split(r"[?#]", url, maxsplit=1)[0]
