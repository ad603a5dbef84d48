"""A response whose body is generated block by block, as fast as its client reads.

However long it is, it takes the memory of a block, and delays the reactor by a turn.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from itertools import islice

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from goloagent.concurrency.cooperation import TURN_SECONDS
from goloagent.http.server.request import Request
from goloagent.http.streaming.stream import Stream

STALL_SECONDS = 60.0
# Level 1 compresses JSON to a sixth in 5 ms per MiB.
_GZIP_LEVEL = 1
_GZIP_WINDOW = 31
# Blocks that are written at once: a window of a timeline is 400 bytes, 8 KB with histograms.
_BLOCKS = 32


class GeneratedStream(Stream):
    """A response with `blocks`, compressed if `gzip`; at its end it calls `close`."""

    def __init__(
        self,
        request: Request,
        clock: IReactorTime,
        blocks: Iterator[bytes],
        close: Callable[[], None],
        gzip: bool,
    ) -> None:
        super().__init__(request, clock, STALL_SECONDS)
        self._blocks = blocks
        self._close_source: Callable[[], None] | None = close
        self._compressor = (
            zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP_WINDOW) if gzip else None
        )
        self._turn: IDelayedCall | None = None

    def produce(self) -> None:
        """Write blocks for a turn, or until the client is behind."""
        self._end_turn()
        until = self._clock.seconds() + TURN_SECONDS
        while not self.paused:
            if self._clock.seconds() > until:
                self._turn = self._clock.callLater(0, self.attempt, self.produce)
                return
            blocks = list(islice(self._blocks, _BLOCKS))
            data = self._compress(b"".join(blocks)) if blocks else self._flush()
            if data:
                self.write(data)
            if not blocks:
                self.end()

    def release(self) -> None:
        """Close the source of the blocks."""
        self._end_turn()
        close, self._close_source = self._close_source, None
        if close is not None:
            close()

    def _compress(self, block: bytes) -> bytes:
        return block if self._compressor is None else self._compressor.compress(block)

    def _flush(self) -> bytes:
        return b"" if self._compressor is None else self._compressor.flush()

    def _end_turn(self) -> None:
        if self._turn is not None and self._turn.active():
            self._turn.cancel()
        self._turn = None
