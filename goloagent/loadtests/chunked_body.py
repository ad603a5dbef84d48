"""The parser of a body with the transfer coding ``chunked`` (RFC 9112, 7.1), which is counted."""

from __future__ import annotations

import re

MAX_LINE_BYTES = 1024
MAX_TRAILER_BYTES = 64 * 1024
_SIZE_LINE = re.compile(rb"([0-9a-fA-F]{1,15})[ \t]*(?:;[^\r]*)?\r?\Z")
_END_OF_LINE = (b"", b"\r")
_MAX_SHOWN_BYTES = 40


class InvalidChunk(Exception):
    """The body breaks the coding."""


class ChunkedBody:
    """One body, in parts that end anywhere.

    Attributes:
        size: the bytes of all chunks so far.
        is_complete: whether the last line has been read.
        has_rest: whether bytes followed it.
    """

    __slots__ = ("_line", "_on_line", "_remaining", "_trailer", "has_rest", "is_complete", "size")

    def __init__(self) -> None:
        self._line = b""  # its beginning, without an end so far
        self._remaining = 0  # bytes of the present chunk
        self._trailer = 0
        self._on_line = self._start_chunk
        self.size = 0
        self.is_complete = self.has_rest = False

    def feed(self, data: bytes) -> None:
        """Parse a part.

        Raises:
            InvalidChunk: it breaks the coding.
        """
        position, length = 0, len(data)
        while position < length and not self.is_complete:
            if self._remaining:
                taken = min(self._remaining, length - position)
                self.size += taken
                self._remaining -= taken
                position += taken
                continue
            end = data.find(b"\n", position)
            line = self._line + data[position : end if end >= 0 else length]
            if len(line) > MAX_LINE_BYTES:
                raise InvalidChunk(f"a line of over {MAX_LINE_BYTES} bytes in a chunked body")
            if end < 0:
                self._line = line
                return
            self._line = b""
            position = end + 1
            self._on_line(line)
        self.has_rest = position < length

    def _start_chunk(self, line: bytes) -> None:
        match = _SIZE_LINE.match(line)
        if match is None:
            shown = line[:_MAX_SHOWN_BYTES].decode("ascii", "backslashreplace")
            raise InvalidChunk(f"an invalid size of a chunk: {shown!r}")
        self._remaining = int(match[1], 16)
        self._on_line = self._end_chunk if self._remaining else self._add_trailer

    def _end_chunk(self, line: bytes) -> None:
        if line not in _END_OF_LINE:
            raise InvalidChunk("a chunk is longer than its size")
        self._on_line = self._start_chunk

    def _add_trailer(self, line: bytes) -> None:
        self._trailer += len(line) + 1
        if self._trailer > MAX_TRAILER_BYTES:
            raise InvalidChunk(f"trailers of over {MAX_TRAILER_BYTES} bytes")
        self.is_complete = line in _END_OF_LINE
