"""One HTTP connection: kept within its deadlines, and closed with an answer when it breaks a rule.

Twisted's own timeout begins anew with each byte, its 400 has no body, and it takes some requests
that a proxy before it may read in another way. Here deadlines are absolute, every refusal says why,
and what is ambiguous is refused. Knows framing; does not know who may, or what routes there are.
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel

from goloagent.web.audit import Audit
from goloagent.web.limits import Connections, Limits, Pace
from goloagent.web.peer import peer_of
from goloagent.web.problem import Problem, render

RETRY_AFTER_SECONDS = 10
# For a client that is one too many: to have read its request before closing, so that no reset
# hides the answer. Beyond so many at once, it may be hidden.
_REFUSED_SECONDS = 1.0
_REFUSED_AT_ONCE = 64
# No body that is taken has a length of so many digits; Python refuses to read some thousands.
_LENGTH_DIGITS = 40

_MALFORMED = Problem(400, "the request is malformed")
_TOO_LONG = Problem(400, "the request line or a header is longer than 16 KiB")


class Channel(HTTPChannel):
    """A connection within `limits`, counted among `connections`; its refusals are in `audit`."""

    transport: Any

    def __init__(self, limits: Limits, connections: Connections, audit: Audit) -> None:
        super().__init__()
        self._audit = audit
        self._limits = limits
        self._connections = connections
        self._peer = ""
        self._refused = False
        self._closing = False  # nothing more is read
        self._closed = False
        self._idle = False  # between two requests
        self._deadline: IDelayedCall | None = None

    def connectionMade(self) -> None:
        """Take the connection, or answer 503 at once when it is one too many."""
        super().connectionMade()
        address = self.transport.getPeer()
        if isinstance(address, IPv4Address | IPv6Address):
            self._peer = peer_of(address.host)
        sentence = self._connections.open(self._peer)
        if sentence is None:
            self._begin_headers()
        else:
            self._one_too_many(sentence)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Leave no timer behind, and make room for another."""
        self._stop_waiting()
        if self._refused:
            self._connections.refused -= 1
        else:
            self._connections.close(self._peer)
        super().connectionLost(reason)

    def pauseProducing(self) -> None:
        """Stop reading while nothing can be written, unless that is for want of a TLS handshake."""
        if not self._refused:
            super().pauseProducing()

    def dataReceived(self, data: bytes) -> None:
        """Take the next bytes, unless the connection is closing: TLS goes on to deliver them."""
        if self._closing:
            self.loseConnection()
            return
        super().dataReceived(data)
        if self._idle and self._buffer:
            self._begin_headers()

    def lineReceived(self, line: bytes) -> None:
        """Take the request line or a line of its headers."""
        if self._closing:
            return
        if self._idle:
            self._begin_headers()
        if line.startswith((b" ", b"\t")):
            self._refuse(Problem(400, "a header is folded over more than one line"))
        else:
            super().lineReceived(line)

    def lineLengthExceeded(self, line: bytes) -> None:
        """Refuse what has no end of line in 16 KiB."""
        self._refuse(_TOO_LONG)

    def allHeadersReceived(self) -> None:
        """Give the body, if there is one, its time."""
        super().allHeadersReceived()
        if self.length != 0 and not self._closing:
            self._look_at_pace_later(Pace(self._limits))

    def allContentReceived(self) -> None:
        """Give the answer all the time it takes."""
        self._stop_waiting()
        super().allContentReceived()

    def requestDone(self, request: Any) -> None:
        """Wait for the next request; what has come of it is read in here."""
        if not self._closing:
            self._idle = True
            self._within(self._limits.idle_seconds, self.loseConnection)
        super().requestDone(request)

    def loseConnection(self) -> None:
        """Close, by force if the client does not take what it is still being sent."""
        if self._closed:
            return
        self._closing = self._closed = True
        self._within(self._limits.close_seconds, self.transport.abortConnection)
        super().loseConnection()

    def _one_too_many(self, sentence: str) -> None:
        self._refused = self._closing = True
        self._write(Problem(503, sentence, {"Retry-After": str(RETRY_AFTER_SECONDS)}))
        self._connections.refused += 1
        if self._connections.refused > _REFUSED_AT_ONCE:
            self.loseConnection()
        else:
            self._within(_REFUSED_SECONDS, self.loseConnection)

    def _begin_headers(self) -> None:
        self._idle = False
        self._within(self._limits.header_seconds, self._headers_late)

    def _headers_late(self) -> None:
        if self._buffer or self.requests:
            seconds = self._limits.header_seconds
            self._refuse(Problem(408, f"the headers are not complete within {seconds:g} s"))
        else:
            self.loseConnection()  # it has asked nothing: an answer would be to the next request

    def _look_at_pace_later(self, pace: Pace) -> None:
        self._within(self._limits.pace_seconds, lambda: self._look_at_pace(pace))

    def _look_at_pace(self, pace: Pace) -> None:
        request = self.requests[-1]
        sentence = pace.look(request.body_bytes, request.was_held_up())
        if sentence is None:
            self._look_at_pace_later(pace)
        else:
            request.turn_away(Problem(408, sentence))

    def _within(self, seconds: float, otherwise: Callable[[], object]) -> None:
        """Set the connection's one deadline."""
        self._stop_waiting()
        self._deadline = self.callLater(seconds, otherwise)

    def _stop_waiting(self) -> None:
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        self._deadline = None

    def _maybeChooseTransferDecoder(self, header: bytes, data: bytes) -> bool:
        """Refuse also the framing that Twisted takes and another server may take otherwise."""
        # RFC 9112, section 6.1: HTTP/1.0 has no chunks, and who passes it on may not know them.
        coded = header == b"Transfer-Encoding" and (
            data.lower() != b"chunked" or self._version == b"HTTP/1.0"
        )
        if coded or (header == b"Content-Length" and len(data) > _LENGTH_DIGITS):
            return bool(self._failChooseTransferDecoder())
        return bool(super()._maybeChooseTransferDecoder(header, data))

    def _respondToBadRequestAndDisconnect(self) -> None:
        """Do what Twisted asks for when it cannot read a request."""
        too_long = self._receivedHeaderSize > self.totalHeadersSize
        self._refuse(Problem(400, "the headers are longer than 16 KiB") if too_long else _MALFORMED)

    def _refuse(self, problem: Problem) -> None:
        """Answer, unless the request has its answer already, and close."""
        if self._closing:
            return
        if not (self.requests and self.requests[-1].startedWriting):
            self._write(problem)
        self.loseConnection()

    def _write(self, problem: Problem) -> None:
        self._audit.refused(self._peer or None, problem.status, problem.sentence)
        headers, body = render(problem, ())
        lines = [f"HTTP/1.1 {problem.status} {HTTPStatus(problem.status).phrase}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        head = "\r\n".join([*lines, "Connection: close", "", ""])
        self.transport.write(head.encode() + body)
