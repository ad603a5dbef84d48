"""One HTTP connection: its slot, its deadlines, its refusals and its close.

A deadline is absolute: received bytes do not extend it, unlike Twisted's time-out. Every refusal
has a body with the reason.
"""

from __future__ import annotations

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from goloagent.concurrency.cooperation import TurnQueue
from goloagent.http.auth.audit import Audit
from goloagent.http.auth.client_address import client_key
from goloagent.http.problem import Problem, reason_phrase, render
from goloagent.http.server.connections import Connections, Phase, Slot, too_many_connections
from goloagent.http.server.deadline import Deadline
from goloagent.http.server.limits import Limits, UploadRate
from goloagent.http.server.lingering_close import LingeringClose
from goloagent.http.server.serial import SerialChannel
from goloagent.http.server.transport import READ_BYTES, enable_keepalive


class Channel(SerialChannel):
    """A connection within `limits`, counted in `connections`; refusals are logged to `audit`.

    All connections share `turns` for pipelined requests and `discard_turns` for discarded bodies.
    `slot` is None after an eviction.
    """

    def __init__(
        self,
        limits: Limits,
        connections: Connections,
        audit: Audit,
        turns: TurnQueue,
        discard_turns: TurnQueue,
    ) -> None:
        super().__init__(turns)
        self._limits = limits
        self._connections = connections
        self._audit = audit
        self._discard_turns = discard_turns
        self.slot: Slot | None = None
        self._host: str | None = None  # None for a Unix socket
        self._has_keepalive = False
        # The factory sets `callLater` after this.
        self._deadline = Deadline(lambda *call: self.callLater(*call))

    @property
    def exceeded(self) -> str | None:
        """The limit that this connection exceeds, as a sentence; it then serves one request."""
        return None if self.slot is None else self.slot.exceeded

    def connectionMade(self) -> None:
        """Open a slot, or respond 503 if the reserve is full, too."""
        super().connectionMade()
        address, peer = self.transport.getPeer(), ""
        if isinstance(address, IPv4Address | IPv6Address):
            self._host = address.host
            peer = client_key(address.host, getattr(self.transport.getHost(), "host", None))
        opened = self._connections.open(peer, self._evict)
        if isinstance(opened, Slot):
            self.slot = opened
            self.enter(Phase.HEADERS)
        else:
            self._write(too_many_connections(opened))
            self._close_now()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Cancel the deadline and close the slot."""
        self._deadline.cancel()
        self.closing = self.closing or self._lingering_close(0)
        self.take_unparsed()
        if self.slot is not None:
            self._connections.close(self.slot)
        super().connectionLost(reason)

    def enter(self, phase: Phase) -> None:
        """Begin a phase with its deadline; a response has none."""
        super().enter(phase)
        if self.slot is not None:
            self._connections.enter(self.slot, phase)
        limits = self._limits
        if phase is Phase.HEADERS:
            is_exceeded = self.exceeded is not None
            seconds = limits.reserve_header_seconds if is_exceeded else limits.header_seconds
            self._deadline.set(seconds, self._on_headers_late)
        elif phase is Phase.RESPONSE:
            self._deadline.cancel()
        elif phase is Phase.IDLE:
            self._deadline.set(limits.idle_seconds, self.loseConnection)

    def allHeadersReceived(self) -> None:
        """Start the deadlines of a body, if there is one."""
        self.enter(Phase.BODY)
        super().allHeadersReceived()
        if self.length != 0 and self.closing is None:
            self._check_rate_later(UploadRate(self._limits))

    def admit(self, trusted: bool) -> None:
        """Accept the current request; `trusted` says that its client has shown the token.

        If the connection exceeds the limits, it is the last request.
        """
        if self.slot is None:
            return
        self.slot.trusted = self.slot.trusted or trusted
        self._connections.promote(self.slot)
        if self.exceeded is not None:
            self.persistent = False
            self.requests[-1].responseHeaders.setRawHeaders(b"Connection", [b"close"])

    def allContentReceived(self) -> None:
        """Process the complete request."""
        if self.closing is None and not self._has_keepalive:
            self._has_keepalive = True
            enable_keepalive(self.transport)
        super().allContentReceived()

    def loseConnection(self) -> None:
        """Close once the client has received the written data."""
        if self.closing is None:
            self.discard(0)

    def discard(self, announced_bytes: int | None) -> None:
        """Close after an early response, discarding the rest of the body.

        Args:
            announced_bytes: the length of the rest; None if it is unknown.
        """
        self.enter(Phase.CLOSING)
        self.closing = self._lingering_close(announced_bytes)
        self.transport.unregisterProducer()
        received = self.take_unparsed()
        self.set_read_size(READ_BYTES)
        self.closing.start(received)

    def refuse(self, problem: Problem) -> None:
        """Respond once that the current request is invalid, and close."""
        if self.closing is not None:
            return
        if self.phase is Phase.BODY:
            self.requests[-1].reject(problem)
        else:
            self._write(problem)
            self.discard(None)

    def _lingering_close(self, announced_bytes: int | None) -> LingeringClose:
        return LingeringClose(
            self.transport, self._limits, self._discard_turns, self._deadline, announced_bytes
        )

    def _close_now(self) -> None:
        if self.closing is None:
            self.closing = self._lingering_close(None)
            self.transport.unregisterProducer()
        self.closing.close_now()

    def _evict(self, reason: str) -> None:
        self.slot = None
        if self.phase in (Phase.IDLE, Phase.CLOSING):
            self._close_now()
        elif self.phase is Phase.HEADERS and self.has_request_bytes:
            self._write(too_many_connections(reason))
            self._close_now()
        else:
            self.transport.abortConnection()

    def _on_headers_late(self) -> None:
        if not self.has_request_bytes:
            self.loseConnection()  # a client could take a response for that to its next request
        elif self.exceeded is not None:
            self.refuse(too_many_connections(self.exceeded))
        else:
            seconds = self._limits.header_seconds
            self.refuse(Problem(408, f"the headers are not complete within {seconds:g} s"))

    def _check_rate_later(self, rate: UploadRate) -> None:
        self._deadline.set(self._limits.rate_check_seconds, lambda: self._check_rate(rate))

    def _check_rate(self, rate: UploadRate) -> None:
        request = self.requests[-1]
        violation = rate.check(request.body_bytes, request.was_paused())
        if violation is None:
            self._check_rate_later(rate)
        else:
            request.reject(Problem(408, violation))

    def _write(self, problem: Problem) -> None:
        self._audit.record_refusal(self._host, problem.status, problem.detail)
        headers, body = render(problem, ())
        lines = [f"HTTP/1.1 {problem.status} {reason_phrase(problem)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        head = "\r\n".join([*lines, "Connection: close", "", ""])
        self.transport.write(head.encode() + body)
