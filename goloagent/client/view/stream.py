"""A text stream that never ends a run: what cannot be written is dropped."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import IO


class SafeStream:
    """Writes to a stream until it fails, as a closed pipe or terminal does.

    Characters that its encoding lacks are escaped.

    Attributes:
        is_lost: whether writing failed; nothing is written from then on.
    """

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self.is_lost = False
        # A parent process may have left it non-blocking, and then parts are lost.
        with suppress(OSError, ValueError):
            os.set_blocking(stream.fileno(), True)

    @property
    def encoding(self) -> str:
        """The encoding of the stream."""
        return getattr(self._stream, "encoding", None) or "ascii"

    def isatty(self) -> bool:
        """Return whether it is a terminal."""
        try:
            return self._stream.isatty()
        except (OSError, ValueError):
            return False

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._stream.fileno()

    def write(self, text: str) -> int:
        """Write a text, or drop it."""
        if not self.is_lost:
            try:
                self._stream.write(self._encodable(text))
            except (OSError, ValueError):
                self.lose()
        return len(text)

    def flush(self) -> None:
        """Flush the stream."""
        if not self.is_lost:
            try:
                self._stream.flush()
            except (OSError, ValueError):
                self.lose()

    def _encodable(self, text: str) -> str:
        encoding = self.encoding
        try:
            text.encode(encoding)
        except UnicodeEncodeError:
            return text.encode(encoding, "backslashreplace").decode(encoding)
        return text

    def lose(self) -> None:
        """Drop the rest, also what is buffered, which Python would flush at the exit and fail."""
        self.is_lost = True
        with suppress(OSError, ValueError):
            null = os.open(os.devnull, os.O_WRONLY)
            try:
                os.dup2(null, self._stream.fileno())
            finally:
                os.close(null)
