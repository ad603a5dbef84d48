"""One request at a time on a connection, with bounded buffers.

Twisted's HTTPChannel processes all pipelined requests that one read returns before it serves other
connections, whether or not the client reads the responses. A `SerialChannel` parses the next
request once the previous response is written, in a turn that all connections share.
"""

from __future__ import annotations

from typing import Any

from goloagent.concurrency.cooperation import TurnQueue
from goloagent.http.server.connections import Phase
from goloagent.http.server.framing import StrictChannel
from goloagent.http.server.lingering_close import LingeringClose
from goloagent.http.server.transport import READ_BYTES

# Read beyond the end of a request before its response is written, to notice a client that closes.
MAX_PIPELINED_BYTES = 16 * 1024
# The parser copies the rest of its input for each line, so it is given slices.
_SLICE_BYTES = 4 * 1024


class SerialChannel(StrictChannel):
    """A connection whose pipelined requests are queued in `turns`.

    Attributes:
        closing: set when the connection closes; no further byte is parsed then.
        has_request_bytes: whether a byte of the current request was received.
    """

    transport: Any

    def __init__(self, turns: TurnQueue) -> None:
        super().__init__()
        self._turns = turns
        self.phase = Phase.HEADERS
        self.closing: LingeringClose | None = None
        self.has_request_bytes = False
        self._unparsed = bytearray()
        self._is_output_full = False
        self._is_body_paused = False
        self._is_queued = False

    def enter(self, phase: Phase) -> None:
        """Begin a phase of the connection."""
        self.phase = phase

    def dataReceived(self, data: bytes) -> None:
        """Parse bytes of the current request; buffer those of the next."""
        if self.closing is not None:
            self.closing.receive(len(data))
        elif self.phase is Phase.BODY and not self._unparsed and not self.line_mode:
            super().dataReceived(data)
            self._update_reading()
        else:
            self._unparsed += data
            self._parse()

    def lineReceived(self, line: bytes) -> None:
        """Parse a line, unless the connection is closing."""
        if self.closing is None:
            super().lineReceived(line)

    def unread(self, data: bytes) -> None:
        """Buffer bytes after a request."""
        self._unparsed[:0] = data

    def allContentReceived(self) -> None:
        """Process the complete request; buffer the bytes after it."""
        if self.closing is None:
            self.unread(self.clearLineBuffer())
            self.set_read_size(READ_BYTES)
            self.enter(Phase.RESPONSE)
            super().allContentReceived()

    def requestDone(self, request: Any) -> None:
        """Wait for the next request, or queue one that was received."""
        if self.closing is None:
            self.has_request_bytes = False
            self.enter(Phase.IDLE)
        super().requestDone(request)
        self._queue()
        self._update_reading()

    def pauseProducing(self) -> None:
        """Pause the response and the next request because the client does not read."""
        self._is_output_full = True
        super().pauseProducing()
        self._update_reading()  # a body, and TLS, are still read

    def resumeProducing(self) -> None:
        """Resume the response, or queue the next request."""
        self._is_output_full = False
        super().resumeProducing()
        self._queue()
        self._update_reading()

    def pause_body(self, is_paused: bool) -> None:
        """Stop or resume reading the request's body."""
        self._is_body_paused = is_paused
        self._update_reading()

    def set_read_size(self, count: int) -> None:
        """Set the maximum number of bytes of one read from the socket."""
        self.transport.bufferSize = count

    def take_unparsed(self) -> int:
        """Drop the bytes that are not parsed yet, and return their number."""
        count = len(self.clearLineBuffer()) + len(self._unparsed)
        self._unparsed.clear()
        self._is_body_paused = False
        return count

    def _parse(self) -> None:
        while self._unparsed and self._may_parse():
            if self.phase is Phase.IDLE:
                self.enter(Phase.HEADERS)
            self.has_request_bytes = True
            count = _SLICE_BYTES if self.line_mode else len(self._unparsed)
            data = bytes(self._unparsed[:count])
            del self._unparsed[:count]
            super().dataReceived(data)
        self._update_reading()

    def _may_parse(self) -> bool:
        if self.closing is not None:
            return False
        if self.phase is Phase.IDLE:
            return not self._is_output_full and not self._is_queued
        return self.phase is not Phase.RESPONSE

    def _queue(self) -> None:
        if self._unparsed and self.phase is Phase.IDLE and self._may_parse():
            self._is_queued = True
            self._turns.wait(self._parse_queued)

    def _parse_queued(self) -> None:
        self._is_queued = False
        self._parse()

    def _update_reading(self) -> None:
        """Pause reading while the body is paused or too much is buffered."""
        if self.closing is not None or self.transport.disconnecting:
            return
        if self._is_body_paused or len(self._unparsed) > MAX_PIPELINED_BYTES:
            self.transport.pauseProducing()
        else:
            self.transport.resumeProducing()
