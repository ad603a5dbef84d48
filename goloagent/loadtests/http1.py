"""The parser of HTTP/1.1 responses (RFC 9112): their status and the size of their body.

The peer is untrusted: a response takes constant memory, whatever its length, and a violation is an
error. The body is counted, not stored.
"""

from __future__ import annotations

import re

from goloagent.loadtests.chunked_body import ChunkedBody, InvalidChunk

MAX_HEAD_BYTES = 64 * 1024
"""The status line and the headers, or the trailers."""

MAX_INTERIM_RESPONSES = 16

_START = b"HTTP/1."
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9][0-9])(?=[ \r\n])")
_END_OF_HEAD = re.compile(rb"\n\r?\n")
_FRAMING = re.compile(
    rb"\n(content-length|transfer-encoding|connection)[ \t]*:[ \t]*([^\r\n]*)", re.IGNORECASE
)
_LENGTH = re.compile(rb"[0-9]{1,18}\Z")
_MAX_SHOWN_BYTES = 40


class InvalidResponse(Exception):
    """The peer does not speak HTTP/1.1."""


class ResponseParser:
    """Parses one response, in chunks that end anywhere.

    Attributes:
        status: 0 before the end of the headers.
        size: the bytes of the body so far.
        has_begun: whether there was a byte of it.
        is_complete: whether it has ended; `feed` may not be called then.
        keeps_alive: whether the connection can be used again after it.
    """

    __slots__ = (
        "_buffer",
        "_chunks",
        "_expects_body",
        "_feed",
        "_interim",
        "_remaining",
        "has_begun",
        "is_complete",
        "keeps_alive",
        "size",
        "status",
    )

    def __init__(self, expects_body: bool = True) -> None:
        self._buffer = bytearray()
        self._expects_body = expects_body  # a response to HEAD has none
        self._interim = 0
        self._remaining = 0
        self._feed = self._feed_head
        self.status = self.size = 0
        self.has_begun = self.is_complete = False
        self.keeps_alive = True

    def feed(self, data: bytes) -> None:
        """Parse a chunk, which is not empty.

        Raises:
            InvalidResponse: the peer broke the protocol.
        """
        self.has_begun = True
        self._feed(data)

    def end(self) -> None:
        """Handle the end of the connection.

        Raises:
            InvalidResponse: the response is not complete.
        """
        if self._feed == self._feed_until_end:
            self.is_complete = True
        else:
            part = "within" if self.has_begun else "without"
            raise InvalidResponse(f"the connection was closed {part} a response")

    def _feed_head(self, data: bytes) -> None:
        buffer = self._buffer
        searched = max(0, len(buffer) - 2)
        buffer += data
        if buffer[: len(_START)] != _START[: len(buffer)]:
            shown = bytes(buffer[:_MAX_SHOWN_BYTES]).decode("ascii", "backslashreplace")
            raise InvalidResponse(f"not an HTTP/1.1 response: {shown!r}")
        end = _END_OF_HEAD.search(buffer, searched)
        if (end.end() if end else len(buffer)) > MAX_HEAD_BYTES:
            raise InvalidResponse(f"headers of over {MAX_HEAD_BYTES} bytes")
        if end is None:
            return
        head, rest = bytes(buffer[: end.end()]), bytes(buffer[end.end() :])
        buffer.clear()
        self._parse_head(head)
        if rest and not self.is_complete:
            self._feed(rest)
        elif rest:
            self.keeps_alive = False

    def _parse_head(self, head: bytes) -> None:
        line = _STATUS_LINE.match(head)
        if line is None:
            shown = head[:_MAX_SHOWN_BYTES].decode("ascii", "backslashreplace")
            raise InvalidResponse(f"an invalid status line: {shown!r}")
        status = int(line[2])
        if status < 200 and status != 101:
            self._interim += 1
            if self._interim > MAX_INTERIM_RESPONSES:
                raise InvalidResponse(f"over {MAX_INTERIM_RESPONSES} interim responses")
            return
        self.status = status
        length, codings, options = None, b"", b""
        for name, value in _FRAMING.findall(head):
            kind = name[0] | 0x20
            if kind == 0x74:  # transfer-encoding
                codings += b"," + value.lower()
            elif len(name) == 10:  # connection
                options += b"," + value.lower()
            else:
                length = self._parse_length(value, length)
        self.keeps_alive = line[1] == b"1" and b"close" not in options
        if line[1] == b"0" and b"keep-alive" in options:
            self.keeps_alive = True
        if not self._expects_body or status in (204, 304):
            self.is_complete = True
        elif status == 101:
            self.is_complete, self.keeps_alive = True, False
        elif codings:
            if length is not None:
                self.keeps_alive = False
            if codings.rstrip(b" \t").endswith(b"chunked"):
                self._chunks, self._feed = ChunkedBody(), self._feed_chunked
            else:
                self._read_until_end()
        elif length is None:
            self._read_until_end()
        else:
            self._remaining, self._feed = length, self._feed_length
            self.is_complete = not length

    @staticmethod
    def _parse_length(value: bytes, before: int | None) -> int:
        """Parse a Content-Length, which may be repeated: ``5, 5``."""
        for one in value.split(b","):
            if not _LENGTH.match(one.strip()) or before not in (None, int(one)):
                raise InvalidResponse(f"an invalid Content-Length: {value[:_MAX_SHOWN_BYTES]!r}")
            before = int(one)
        assert before is not None
        return before

    def _read_until_end(self) -> None:
        self.keeps_alive, self._feed = False, self._feed_until_end

    def _feed_until_end(self, data: bytes) -> None:
        self.size += len(data)

    def _feed_length(self, data: bytes) -> None:
        size = len(data)
        if size >= self._remaining:
            if size > self._remaining:
                self.keeps_alive = False
                size = self._remaining
            self.is_complete = True
        self.size += size
        self._remaining -= size

    def _feed_chunked(self, data: bytes) -> None:
        body = self._chunks
        try:
            body.feed(data)
        except InvalidChunk as error:
            raise InvalidResponse(str(error)) from None
        self.size, self.is_complete = body.size, body.is_complete
        if body.has_rest:
            self.keeps_alive = False
