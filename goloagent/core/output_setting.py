"""The setting of an output. Pure; `output_parser` makes one from text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import quote

import attrs

from goloagent.core.address import HttpUrl
from goloagent.core.http_setting import HttpSetting, SettingError, parse_flag
from goloagent.core.output_schemes import REQUIRED, RESULT, SCHEMES, Form

__all__ = ["HttpSetting", "OutputSetting", "SettingError"]


@attrs.frozen
class OutputSetting:
    """The setting of one output.

    Args:
        url: without its query, and without the scheme and ``+`` before ``http``.
        target: the URL behind the scheme: the absolute path of a file, the command of a program,
            or the hosts and the name behind ``//``.
        members: the output's own, without those of `http`, `required` and ``unit``.
        unit: of its batches: ``result`` or ``second``.
        origin: where it was given, for messages.
    """

    name: str
    scheme: str
    url: str = attrs.field(repr=False)
    target: str = attrs.field(default="", repr=False)
    members: Mapping[str, str] = attrs.field(factory=dict)
    required: bool = True
    unit: str = RESULT
    http: HttpSetting = attrs.field(factory=HttpSetting)
    origin: str = ""

    @property
    def shown(self) -> str:
        """The URL without its members, and without credentials and arguments of a command."""
        if SCHEMES[self.scheme].form is Form.COMMAND:
            return f"{self.scheme}:{self.target.split()[0]}"
        if SCHEMES[self.scheme].form is Form.HTTP:
            return f"{self.scheme}+{HttpUrl.parse(self.url)}"
        return self.url

    @property
    def option(self) -> str:
        """The ``NAME=URL`` with absolute paths, for a process in another directory."""
        form = SCHEMES[self.scheme].form
        base = f"{self.scheme}+{self.url}" if form is Form.HTTP else self.url
        if form in (Form.PATH, Form.COMMAND):
            base = f"{self.scheme}:{_quoted(self.target)}"
        own = {**self.members, **self.http.members}
        if self.unit != SCHEMES[self.scheme].units[0]:
            own["unit"] = self.unit
        if not self.required:
            own[REQUIRED] = "no"
        query = "&".join(f"{name}={_quoted(value)}" for name, value in own.items())
        return f"{self.name}={base}{query and f'?{query}'}"

    @property
    def path(self) -> Path | None:
        """The file or directory that it writes to."""
        is_path = SCHEMES[self.scheme].form is Form.PATH
        return Path(self.target) if is_path else None

    @property
    def own_paths(self) -> tuple[Path, ...]:
        """The files and directories that load tests may not access."""
        return self.http.secrets if self.path is None else (*self.http.secrets, self.path)

    def flag(self, name: str, default: bool) -> bool:
        """Return a member that is yes or no.

        Raises:
            SettingError: it is neither, as with each of these methods for another type.
        """
        return parse_flag(name, self.members[name]) if name in self.members else default

    def number(self, name: str, default: int, minimum: int, maximum: int) -> int:
        """Return a member that is a whole number."""
        text = self.members.get(name, str(default))
        is_whole = text.isascii() and text.isdigit() and len(text) <= len(str(maximum))
        if not is_whole or not minimum <= int(text) <= maximum:
            raise SettingError(f"{name}={text[:40]} is not a number from {minimum} to {maximum}")
        return int(text)

    def choice(self, name: str, choices: Iterable[str], default: str) -> str:
        """Return a member that is one of `choices`."""
        text = self.members.get(name, default)
        if text not in (choices := tuple(choices)):
            raise SettingError(f"{name}={text[:40]} is not one of {', '.join(choices)}")
        return text


def _quoted(text: str) -> str:
    # What the parser would read as something else: ? & = % and bytes that are not UTF-8.
    return quote(text, " /:@!$'()*+,;-._~\"<>[]{}|^`\\", errors="surrogateescape")
