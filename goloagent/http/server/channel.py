"""One HTTP connection: within its deadlines, one request at a time, and never closed on an answer.

Twisted's own timeout begins anew with each byte, its 400 has no body, it takes some requests that a
proxy before it may read in another way, it answers all pipelined requests in one go whether anybody
reads or not, and it resets a connection whose client is still sending. Here deadlines are absolute,
every refusal says why, what is ambiguous is refused, a request is read when the answer to the one
before is on its way, and what comes behind an early answer is discarded: so the answer is heard.
Knows framing; does not know who may, or what routes there are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IDelayedCall, IPushProducer
from twisted.internet.protocol import connectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel, Request
from zope.interface import implementer

import twisted
from goloagent.http.auth.audit import Audit
from goloagent.http.auth.client_address import client_key
from goloagent.http.problem import Problem, reason_phrase, render
from goloagent.http.server.connections import Connections, Phase, Slot, too_many_connections
from goloagent.http.server.limits import Discard, Limits, UploadRate
from goloagent.http.server.transport import READ_BYTES, enable_keepalive, is_tls, unsent_bytes
from goloagent.http.server.turns import Turns

# Read beyond the end of a request before its answer is written: enough to notice a client that
# goes away.
MAX_PIPELINED_BYTES = 16 * 1024
# Headers are parsed in slices of what has come, as the parser copies the rest for each line.
_SLICE_BYTES = 4 * 1024
# No body that is taken has a length of so many digits; Python refuses to read some thousands.
_LENGTH_DIGITS = 40
# For a connection that has to go at once: to send its answer, or to be cut.
_EVICTED_SECONDS = 2.0

_MALFORMED = Problem(400, "the request is malformed")
_TOO_LONG = Problem(400, "the request line or a header is longer than 16 KiB")

_HOOKS = (
    "_failChooseTransferDecoder",
    "_finishRequestBody",
    "_maybeChooseTransferDecoder",
    "_receivedHeaderSize",
    "_respondToBadRequestAndDisconnect",
    "clearLineBuffer",
    "line_mode",
    "persistent",
)
_HOOKS_OF_A_REQUEST = ("_command", "_path", "_version", "length", "requests")


def _known_at_headers(parser: Any) -> set[str]:
    """Return the attributes that a connection has when the headers of a request are complete."""
    known: set[str] = set()

    class Recorder(Request):
        """Looks where `goloagent.http.server.request.Request` does."""

        def gotLength(self, length: int | None) -> None:
            known.update(dir(self.channel))
            super().gotLength(length)

    connection = parser()
    connection.requestFactory = Recorder
    connection.makeConnection(StringTransport())
    connection.dataReceived(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n")
    connection.connectionLost(Failure(ConnectionDone()))
    return known


def check_hooks(parser: type = HTTPChannel) -> None:
    """Make sure that Twisted has the parts that are not in its interfaces and on which we rely.

    Raises:
        RuntimeError: it has not.
    """
    missing = [name for name in _HOOKS if not hasattr(parser, name)]
    if not missing:
        missing = [name for name in _HOOKS_OF_A_REQUEST if name not in _known_at_headers(parser)]
    if missing:
        raise RuntimeError(
            f"Twisted {twisted.__version__} has no HTTPChannel.{missing[0]}: "
            "install a version of Twisted that golo-agent's setup.py allows"
        )


@implementer(IPushProducer)
class BodySource:
    """The body of a request as its consumer sees it: pausing it pauses the connection's reading."""

    def __init__(self, set_paused: Callable[[bool], None]) -> None:
        self._set_paused = set_paused

    def pauseProducing(self) -> None:
        """Read no more."""
        self._set_paused(True)

    def resumeProducing(self) -> None:
        """Read on."""
        self._set_paused(False)

    def stopProducing(self) -> None:
        """Do nothing: only the connection ends a body."""


class Channel(HTTPChannel):
    """A connection within `limits`, counted among `connections`; its refusals are in `audit`.

    Pipelined requests are read, and refused bodies are discarded, in `turns` that all connections
    take. `slot` is None once it is evicted.
    """

    transport: Any

    def __init__(
        self,
        limits: Limits,
        connections: Connections,
        audit: Audit,
        turns: Turns,
        discard_turns: Turns,
    ) -> None:
        super().__init__()
        self._limits = limits
        self._connections = connections
        self._audit = audit
        self._turns = turns
        self._discard_turns = discard_turns
        self.slot: Slot | None = None
        self.body = BodySource(self._pause_body)
        self._host: str | None = None  # None: it came by a Unix socket
        self._phase = Phase.HEADERS
        self._received = bytearray()  # and not parsed yet
        self._probed = False
        self._heard = False  # something of the present request
        self._output_full = False
        self._body_paused = False
        self._is_queued = False
        self._discard: Discard | None = None  # nothing more is parsed
        self._closed = False  # nothing more is written
        self._deadline: IDelayedCall | None = None

    @property
    def exceeded(self) -> str | None:
        """The sentence which bound this connection exceeds; it serves one request then."""
        return None if self.slot is None else self.slot.exceeded

    def connectionMade(self) -> None:
        """Take the connection, or answer 503 at once if not even the reserve has room."""
        super().connectionMade()
        address, peer = self.transport.getPeer(), ""
        if isinstance(address, IPv4Address | IPv6Address):
            self._host = address.host
            peer = client_key(address.host, getattr(self.transport.getHost(), "host", None))
        opened = self._connections.open(peer, self._evict)
        if isinstance(opened, Slot):
            self.slot = opened
            self._begin_headers()
        else:
            self._write(too_many_connections(opened))
            self._close_at_once()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Leave no timer behind, and make room for another."""
        self._stop_waiting()
        self._discard = self._discard or Discard(self._limits, 0)
        self._received.clear()
        if self.slot is not None:
            self._connections.close(self.slot)
        super().connectionLost(reason)

    def dataReceived(self, data: bytes) -> None:
        """Take the next bytes: of the request that is being read, or else of a later one."""
        if self._discard is not None:
            self._discarded(len(data))
            self._await_discard_turn()
        elif self._phase is Phase.BODY and not self._received and not self.line_mode:
            super().dataReceived(data)
            self._regulate_reading()
        else:
            self._received += data
            self._parse()

    def lineReceived(self, line: bytes) -> None:
        """Take the request line or a line of its headers."""
        if self._discard is not None:
            return
        if line.startswith((b" ", b"\t")):
            self._refuse(Problem(400, "a header is folded over more than one line"))
        else:
            super().lineReceived(line)

    def lineLengthExceeded(self, line: bytes) -> None:
        """Refuse what has no end of line in 16 KiB."""
        self._refuse(_TOO_LONG)

    def allHeadersReceived(self) -> None:
        """Give the body, if there is one, its time."""
        self._enter(Phase.BODY)
        super().allHeadersReceived()
        if self.length != 0 and self._discard is None:
            self._look_at_pace_later(UploadRate(self._limits))

    def admit(self, trusted: bool) -> None:
        """Take the request on this connection, whose client is `trusted` to have the token.

        Beyond the bounds it is the last one on this connection.
        """
        if self.slot is None:
            return
        self.slot.trusted = self.slot.trusted or trusted
        self._connections.promote(self.slot)
        if self.exceeded is not None:
            self.persistent = False
            self.requests[-1].responseHeaders.setRawHeaders(b"Connection", [b"close"])

    def allContentReceived(self) -> None:
        """Give the answer all the time it takes; what has come behind the request waits."""
        if self._discard is not None:
            return
        self._stop_waiting()
        if not self._probed:
            self._probed = True
            enable_keepalive(self.transport)
        self._put_back(self.clearLineBuffer())
        self.set_read_size(READ_BYTES)
        self._enter(Phase.RESPONSE)
        super().allContentReceived()

    def requestDone(self, request: Any) -> None:
        """Wait for the next request; if it has come, read it in a later turn of the reactor."""
        if self._discard is None:
            self._heard = False
            self._enter(Phase.IDLE)
            self._within(self._limits.idle_seconds, self.loseConnection)
        super().requestDone(request)
        self._await_turn()
        self._regulate_reading()

    def pauseProducing(self) -> None:
        """Pause the answer, and read no further request: the client does not take what is sent."""
        self._output_full = True
        super().pauseProducing()
        self._regulate_reading()  # a body, and TLS, are read all the same

    def resumeProducing(self) -> None:
        """Go on with the answer, or with the next request."""
        self._output_full = False
        super().resumeProducing()
        self._await_turn()
        self._regulate_reading()

    def loseConnection(self) -> None:
        """Close in order: when the client has taken what it is still being sent."""
        if self._discard is None:
            self.discard(0)

    def discard(self, announced_bytes: int | None) -> None:
        """Close behind an answer, and discard what still comes, so that no reset destroys it.

        Args:
            announced_bytes: what is still to come of the request's body; None if that is unknown.
        """
        self._enter(Phase.CLOSING)
        self._discard = Discard(self._limits, announced_bytes)
        self._body_paused = False
        self.transport.unregisterProducer()
        came = len(self.clearLineBuffer()) + len(self._received)
        self._received.clear()
        self.set_read_size(READ_BYTES)
        if not is_tls(self.transport):
            # Who reads to the end has it, and who still sends is read.
            self.transport.loseWriteConnection()
        self.transport.resumeProducing()
        self._within(self._limits.discard_quiet_seconds, self._look_at_discarded)
        self._discarded(came)

    def set_read_size(self, count: int) -> None:
        """Read so many bytes of the socket at once."""
        self.transport.bufferSize = count

    def _discarded(self, count: int) -> None:
        assert self._discard is not None
        if not self._discard.add(count):
            self._close_at_once()
        elif self._discard.complete and is_tls(self.transport) and not self._closed:
            self._close_transport()  # reads on until the client has closed, too

    def _await_discard_turn(self) -> None:
        if self._is_queued or self.transport.disconnecting:
            return
        self._is_queued = True
        self.transport.pauseProducing()
        self._discard_turns.wait(self._take_discard_turn)

    def _take_discard_turn(self) -> None:
        self._is_queued = False
        if not self.transport.disconnecting and self.transport.connected:
            self.transport.resumeProducing()

    def _look_at_discarded(self) -> None:
        assert self._discard is not None
        if self._discard.may_continue():
            self._within(self._limits.discard_quiet_seconds, self._look_at_discarded)
        else:
            self._close_transport()

    def _close_transport(self) -> None:
        """Close when what was written is sent, or cut if the client takes nothing of it."""
        self._closed = True
        self._cut_unless_less_than(unsent_bytes(self.transport))
        self.transport.loseConnection()

    def _cut_unless_less_than(self, unsent: int) -> None:
        def look() -> None:
            now = unsent_bytes(self.transport)
            if now < unsent:
                self._cut_unless_less_than(now)
            else:
                self.transport.abortConnection()

        self._within(self._limits.close_seconds, look)

    def _close_at_once(self) -> None:
        """Close whatever the client still sends; it has a moment to take what was written."""
        if self._discard is None:
            self._discard = Discard(self._limits, None)
            self.transport.unregisterProducer()
        self._within(_EVICTED_SECONDS, self.transport.abortConnection)
        self.transport.loseConnection()

    def _evict(self, sentence: str) -> None:
        """Make room for another connection."""
        self.slot = None
        if self._phase in (Phase.BODY, Phase.RESPONSE):
            self.transport.abortConnection()
            return
        if self._phase is not Phase.HEADERS:
            self._close_at_once()
        elif self._heard:
            self._write(too_many_connections(sentence))
            self._close_at_once()
        else:  # it has asked nothing
            self.transport.abortConnection()

    def _parse(self) -> None:
        """Give the parser what has come, as far as it may go on."""
        while self._received and self._may_parse():
            if self._phase is Phase.IDLE:
                self._begin_headers()
            self._heard = True
            count = _SLICE_BYTES if self.line_mode else len(self._received)
            data = bytes(self._received[:count])
            del self._received[:count]
            super().dataReceived(data)
        self._regulate_reading()

    def _may_parse(self) -> bool:
        if self._discard is not None:
            return False
        if self._phase is Phase.IDLE:
            return not self._output_full and not self._is_queued
        return self._phase is not Phase.RESPONSE

    def _await_turn(self) -> None:
        if self._received and self._phase is Phase.IDLE and self._may_parse():
            self._is_queued = True
            self._turns.wait(self._take_turn)

    def _take_turn(self) -> None:
        self._is_queued = False
        self._parse()

    def _put_back(self, data: bytes) -> None:
        """Have bytes parsed before those that have come since."""
        self._received[:0] = data

    def _pause_body(self, paused: bool) -> None:
        self._body_paused = paused
        self._regulate_reading()

    def _regulate_reading(self) -> None:
        """Read of the socket, unless enough waits already."""
        if self._discard is not None or self.transport.disconnecting:
            return
        if self._body_paused or len(self._received) > MAX_PIPELINED_BYTES:
            self.transport.pauseProducing()
        else:
            self.transport.resumeProducing()

    def _enter(self, phase: Phase) -> None:
        self._phase = phase
        if self.slot is not None:
            self._connections.enter(self.slot, phase)

    def _begin_headers(self) -> None:
        self._enter(Phase.HEADERS)
        limits = self._limits
        seconds = limits.header_seconds if self.exceeded is None else limits.reserve_header_seconds
        self._within(seconds, self._headers_late)

    def _headers_late(self) -> None:
        if not self._heard:
            self.loseConnection()  # it has asked nothing: an answer would be to the next request
        elif self.exceeded is not None:
            self._refuse(too_many_connections(self.exceeded))
        else:
            seconds = self._limits.header_seconds
            self._refuse(Problem(408, f"the headers are not complete within {seconds:g} s"))

    def _look_at_pace_later(self, pace: UploadRate) -> None:
        self._within(self._limits.rate_check_seconds, lambda: self._look_at_pace(pace))

    def _look_at_pace(self, pace: UploadRate) -> None:
        request = self.requests[-1]
        sentence = pace.check(request.body_bytes, request.was_paused())
        if sentence is None:
            self._look_at_pace_later(pace)
        else:
            request.reject(Problem(408, sentence))

    def _within(self, seconds: float, otherwise: Callable[[], object]) -> None:
        """Set the connection's one deadline."""
        self._stop_waiting()
        self._deadline = self.callLater(seconds, otherwise)

    def _stop_waiting(self) -> None:
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        self._deadline = None

    def _finishRequestBody(self, data: bytes) -> None:
        """Keep what has come behind the body out of Twisted's own buffer, which has no bound."""
        self._put_back(data)
        super()._finishRequestBody(b"")

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
        """Answer what cannot be read, and close."""
        if self._discard is not None:
            return
        if self._phase is Phase.BODY:
            self.requests[-1].reject(problem)
        else:
            self._write(problem)
            self.discard(None)

    def _write(self, problem: Problem) -> None:
        self._audit.record_refusal(self._host, problem.status, problem.detail)
        headers, body = render(problem, ())
        lines = [f"HTTP/1.1 {problem.status} {reason_phrase(problem)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        head = "\r\n".join([*lines, "Connection: close", "", ""])
        self.transport.write(head.encode() + body)
