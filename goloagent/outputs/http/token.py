"""The bearer token for the collector, from a file that is read again when it changes."""

from __future__ import annotations

import re
from pathlib import Path

import attrs
from twisted.logger import Logger

from goloagent.outputs.http.tls import FileError, read

_OPTION = "--collector-token-file"
_TOKEN = re.compile(rb"[\x21-\x7e]+")


@attrs.define
class TokenFile:
    """The token in the file at `path`; after an invalid change the old token stays in use.

    Raises:
        FileError: the file cannot be read, or has no token.
    """

    path: Path
    _token: str = attrs.field(init=False, repr=False)
    _version: tuple[int, ...] | None = attrs.field(init=False)

    _log = Logger()

    def __attrs_post_init__(self) -> None:
        self._version = self._stat()
        self._token = self._read()

    @property
    def token(self) -> str:
        """The present token."""
        version = self._stat()
        if version != self._version:
            self._version = version
            try:
                self._token = self._read()
            except FileError as error:
                self._log.warn("{error}; the previous token stays in use", error=error)
            else:
                self._log.info("the token for the collector was read again: {path}", path=self.path)
        return self._token

    def _stat(self) -> tuple[int, ...] | None:
        """Return values that change with the file's content."""
        try:
            status = self.path.stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size

    def _read(self) -> str:
        token = read(_OPTION, self.path).strip()
        if not token:
            raise FileError(f"{_OPTION} {self.path}: it is empty")
        if not _TOKEN.fullmatch(token):
            raise FileError(
                f"{_OPTION} {self.path}: the token must be one line of printable ASCII characters "
                "without spaces"
            )
        return token.decode("ascii")
