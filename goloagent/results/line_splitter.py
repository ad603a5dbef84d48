"""Whole lines from a stream that arrives in pieces of any size, in bounded memory."""

from __future__ import annotations

import attrs


def count_newlines(block: bytes) -> int:
    """Return the number of newlines; to remove them is three times as fast as `bytes.count`."""
    return len(block) - len(block.replace(b"\n", b""))


@attrs.frozen
class SplitBlock:
    """Whole lines, each with its newline, and the number of lines that were too long.

    The first of those came after `first_oversized` others.
    """

    block: bytes = b""
    oversized: int = 0
    first_oversized: int = 0


class LineSplitter:
    """Splits a stream into blocks of lines of at most `max_line_bytes`, the newline not counted.

    A longer line is dropped and counted once, at its end.
    """

    def __init__(self, max_line_bytes: int) -> None:
        self._max_line_bytes = max_line_bytes
        self._partial = bytearray()  # the line without its end
        self._too_long = False  # that line is over the limit, and is dropped

    def feed(self, data: bytes) -> SplitBlock:
        """Take the next piece and return the lines that it completes."""
        end = data.rfind(b"\n") + 1
        if not end:
            self._extend(data)
            return SplitBlock()
        start = oversized = 0
        if self._too_long:
            start = data.index(b"\n") + 1
            oversized = 1
            self._too_long = False
        block = b"".join((self._partial, memoryview(data)[start:end]))
        self._partial = bytearray()
        if end < len(data):
            self._extend(data[end:])
        if len(block) <= self._max_line_bytes + 1:
            return SplitBlock(block, oversized)
        lines = block.split(b"\n")
        kept = [line for line in lines if len(line) <= self._max_line_bytes]
        dropped = len(lines) - len(kept)
        first = 0
        if dropped and not oversized:
            first = next(n for n, line in enumerate(lines) if len(line) > self._max_line_bytes)
        return SplitBlock(b"\n".join(kept), oversized + dropped, first)

    def close(self) -> SplitBlock:
        """End the stream: return the rest after its last newline as a line with a newline."""
        if self._too_long:
            return SplitBlock(oversized=1)
        return SplitBlock(bytes(self._partial) + b"\n") if self._partial else SplitBlock()

    def _extend(self, data: bytes) -> None:
        if self._too_long:
            return
        if len(self._partial) + len(data) > self._max_line_bytes:
            self._partial = bytearray()
            self._too_long = True
        else:
            self._partial += data
