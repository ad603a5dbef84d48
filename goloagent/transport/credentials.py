"""The credentials of a client, from a file that is read again when it changes."""

from __future__ import annotations

import base64
import re
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

import attrs
from twisted.logger import Logger

from goloagent.transport.tls import FileError, read

_TOKEN = re.compile(rb"[\x21-\x7e]+")
_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")


@attrs.define
class CredentialFile(ABC):
    """The credentials in the file at `path`; after an invalid change the old ones stay in use.

    Raises:
        FileError: the file cannot be read, or has no credentials.
    """

    path: Path
    option: str = "--collector-token-file"
    _content: bytes = attrs.field(init=False, repr=False)
    _version: tuple[int, ...] | None = attrs.field(init=False)

    noun: ClassVar[str]
    _log = Logger()

    def __attrs_post_init__(self) -> None:
        self._version = self._stat()
        self._content = self._read()

    @property
    @abstractmethod
    def authorization(self) -> str:
        """The present value of the header ``Authorization``."""

    @abstractmethod
    def _fault(self, content: bytes) -> str | None:
        """Return what is wrong with a content that is not empty."""

    @property
    def content(self) -> bytes:
        """The present content, without white space at its ends."""
        version = self._stat()
        if version != self._version:
            self._version = version
            try:
                self._content = self._read()
            except FileError as error:
                self._log.warn(
                    "{error}; the previous {noun} stays in use", error=error, noun=self.noun
                )
            else:
                self._log.info(
                    "{option} {path}: the {noun} was read again",
                    option=self.option,
                    path=self.path,
                    noun=self.noun,
                )
        return self._content

    def _stat(self) -> tuple[int, ...] | None:
        """Return values that change with the file's content."""
        try:
            status = self.path.stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size

    def _read(self) -> bytes:
        content = read(self.option, self.path).strip()
        fault = self._fault(content) if content else "it is empty"
        if fault is not None:
            raise FileError(f"{self.option} {self.path}: {fault}")
        return content


@attrs.define
class TokenFile(CredentialFile):
    """A token, which `scheme` precedes in the header."""

    scheme: str = "Bearer"

    noun: ClassVar[str] = "token"

    @property
    def token(self) -> str:
        """The present token."""
        return self.content.decode("ascii")

    @property
    def authorization(self) -> str:
        """The present value of the header ``Authorization``."""
        return f"{self.scheme} {self.token}"

    def _fault(self, content: bytes) -> str | None:
        if _TOKEN.fullmatch(content):
            return None
        return "the token must be one line of printable ASCII characters without spaces"


class PasswordFile(CredentialFile):
    """A user and a password, for basic authentication."""

    noun: ClassVar[str] = "password"

    @property
    def authorization(self) -> str:
        """The present value of the header ``Authorization``."""
        return f"Basic {base64.b64encode(self.content).decode('ascii')}"

    def _fault(self, content: bytes) -> str | None:
        if b":" in content and not _CONTROL.search(content):
            return None
        return "it must be one line with user:password"
