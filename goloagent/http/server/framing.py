"""Strict HTTP/1.1 framing, on private parts of Twisted's HTTPChannel.

`setup.py` bounds the version of Twisted; `check_hooks` verifies the installed one at start.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel, Request

import twisted
from goloagent.http.problem import Problem

# Python refuses to parse integers of some thousand digits.
_MAX_LENGTH_DIGITS = 40

_OF_CHANNEL = (
    "_failChooseTransferDecoder",
    "_finishRequestBody",
    "_maybeChooseTransferDecoder",
    "_receivedHeaderSize",
    "_respondToBadRequestAndDisconnect",
    "clearLineBuffer",
    "line_mode",
    "persistent",
)
_AT_HEADERS = ("_command", "_path", "_version", "length", "requests")


class StrictChannel(HTTPChannel):
    """A parser that refuses ambiguous framing and bounds its buffer.

    A subclass implements `refuse`, and `unread` for bytes after a request's body.
    """

    def refuse(self, problem: Problem) -> None:
        """Respond that the current request is invalid, and close."""
        raise NotImplementedError

    def unread(self, data: bytes) -> None:
        """Buffer bytes that were received before all others that are not parsed yet."""
        raise NotImplementedError

    def lineReceived(self, line: bytes) -> None:
        """Parse the request line or a header line."""
        if line.startswith((b" ", b"\t")):
            self.refuse(Problem(400, "a header is folded over more than one line"))
        else:
            super().lineReceived(line)

    def lineLengthExceeded(self, line: bytes) -> None:
        """Refuse a line without an end in 16 KiB."""
        self.refuse(Problem(400, "the request line or a header is longer than 16 KiB"))

    def _finishRequestBody(self, data: bytes) -> None:
        self.unread(data)  # because Twisted's buffer has no bound
        super()._finishRequestBody(b"")

    def _maybeChooseTransferDecoder(self, header: bytes, data: bytes) -> bool:
        """Refuse also framing that Twisted accepts and another server may interpret otherwise."""
        # RFC 9112, section 6.1: an HTTP/1.0 proxy may forward Transfer-Encoding unread.
        is_ambiguous = header == b"Transfer-Encoding" and (
            data.lower() != b"chunked" or self._version == b"HTTP/1.0"
        )
        if is_ambiguous or (header == b"Content-Length" and len(data) > _MAX_LENGTH_DIGITS):
            return bool(self._failChooseTransferDecoder())
        return bool(super()._maybeChooseTransferDecoder(header, data))

    def _respondToBadRequestAndDisconnect(self) -> None:
        if self._receivedHeaderSize > self.totalHeadersSize:
            self.refuse(Problem(400, "the headers are longer than 16 KiB"))
        else:
            self.refuse(Problem(400, "the request is malformed"))


def check_hooks(parser: type = HTTPChannel) -> None:
    """Verify that the private parts exist.

    Raises:
        RuntimeError: one does not.
    """
    missing = [name for name in _OF_CHANNEL if not hasattr(parser, name)]
    if not missing:
        found = _attributes_at_headers(parser)
        missing = [name for name in _AT_HEADERS if name not in found]
    if missing:
        raise RuntimeError(
            f"Twisted {twisted.__version__} has no HTTPChannel.{missing[0]}: "
            "install a version of Twisted that golo-agent's setup.py allows"
        )


def _attributes_at_headers(parser: Any) -> set[str]:
    """Return the attributes of a channel when the headers of a request are complete."""
    attributes: set[str] = set()

    class HeaderProbe(Request):
        """A request that reads the channel at the same time as ours."""

        def gotLength(self, length: int | None) -> None:
            attributes.update(dir(self.channel))
            super().gotLength(length)

    connection = parser()
    connection.requestFactory = HeaderProbe
    connection.makeConnection(StringTransport())
    connection.dataReceived(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n")
    connection.connectionLost(Failure(ConnectionDone()))
    return attributes
