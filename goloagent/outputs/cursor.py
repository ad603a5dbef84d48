"""A cursor over one run's log: the offset of delivery, and the results that follow it."""

from __future__ import annotations

from collections.abc import Callable

from goloagent.concurrency.steps import Steps, finish
from goloagent.outputs.batch import Batch
from goloagent.results import parser

WINDOW_BYTES = parser.MAX_BODY_BYTES - 1
"""The text of the largest body: the longest result and its newline fit exactly."""

# A window is parsed piece by piece, and ends early after a piece with which it has more invalid
# lines than this: their offsets take memory.
_PIECE_BYTES = 64 * 1024
_MAX_INVALID_LINES = 16 * 1024


class Cursor:
    """Reads a log forward from `offset`, with at most one window of it in memory.

    Args:
        read: returns up to a number of bytes of the log from an offset; fewer only at its end.
        verified_range: returns a range of the log in which all lines are known to be results. A
            window with zeros, which a truncated log has, is parsed all the same.
    """

    def __init__(
        self,
        read: Callable[[int, int], bytes],
        offset: int,
        verified_range: Callable[[], range] = lambda: range(0),
    ) -> None:
        self._read = read
        self._verified_range = verified_range
        self._searched = offset
        self._window = Batch(offset, offset, b"")  # read and not taken yet
        self._loaded: tuple[int, bool, int | None] | None = None

    @property
    def offset(self) -> int:
        """Where the next batch begins."""
        return self._window.first

    def next(
        self,
        max_results: int,
        complete: bool,
        until: int | None = None,
        max_bytes: int = parser.MAX_BODY_BYTES,
    ) -> Batch | None:
        """Take the next batch, or None if there is none.

        Its body has at most `max_bytes`, except for a single longer line. It ends early at the end
        of a window, and has no results if all lines of the window are invalid.

        Args:
            complete: the log does not grow, so its last line counts without a newline.
            until: the end of an earlier batch from here, which is returned again.
        """
        if self._loaded != (max_results, complete, until):
            finish(self.load_steps(max_results, complete, until))
        self._loaded = None
        if self._window.end == self._window.first:
            return None
        window = self._window
        if until is None:
            # A body is at most a byte longer than its text.
            batch, self._window = window.take(max_results, max_bytes - 1)
        else:
            batch, self._window = window.cut(min(until, window.end))
        return batch

    def load_steps(self, max_results: int, complete: bool, until: int | None = None) -> Steps[None]:
        """Read and parse in steps what `next` returns for the same arguments.

        Raises:
            OSError: the log cannot be read.
        """
        if until is not None or self._window.results < max_results:
            self._window = yield from self._fill(self._window.first, complete, until)
        self._loaded = (max_results, complete, until)

    def skip(self, end: int) -> Batch:
        """Skip a range that cannot be read any more: return a batch of no results, up to `end`."""
        self._loaded = None
        skipped = Batch(self.offset, end, b"")
        self._window = Batch(end, end, b"")
        return skipped

    def _fill(self, first: int, complete: bool, until: int | None) -> Steps[Batch]:
        """Return the next window of whole lines, which is empty at the end of the log."""
        count = WINDOW_BYTES if until is None else min(until - first, WINDOW_BYTES)
        text = self._read(first, count)
        end = first + len(text)
        is_newline_added = complete and text[-1:] not in (b"", b"\n") and len(text) < WINDOW_BYTES
        if is_newline_added:
            text += b"\n"
        elif whole := text.rfind(b"\n") + 1:
            text, end = text[:whole], first + whole
        else:
            is_long = len(text) == WINDOW_BYTES
            end = (yield from self._end_of_long_line(first, complete)) if is_long else first
            return Batch(first, end, b"")
        known = self._verified_range()
        # The end of a truncated log may be a line that was counted as a part of a longer one.
        is_verified = known.start <= first and (
            end == known.stop or (end < known.stop and not is_newline_added)
        )
        if is_verified and b"\0" not in text:
            return Batch(first, end, text)
        parsed_bytes, invalid = yield from _parse(text, whole=until is not None)
        if parsed_bytes < len(text):
            text, end = text[:parsed_bytes], first + parsed_bytes
        return Batch(first, end, text, invalid)

    def _end_of_long_line(self, first: int, complete: bool) -> Steps[int]:
        """Return the end of a line that is too long for a result; its start before it has one."""
        self._searched = max(self._searched, first)
        while window := self._read(self._searched, WINDOW_BYTES):
            newline = window.find(b"\n")
            self._searched += len(window) if newline < 0 else newline + 1
            if newline >= 0:
                return self._searched
            yield
        return self._searched if complete else first


def _parse(text: bytes, whole: bool) -> Steps[tuple[int, tuple[int, ...]]]:
    """Return how many bytes of a text are parsed, all if `whole`, and where lines are invalid."""
    invalid: list[int] = []
    start = 0
    while start < len(text) and (whole or len(invalid) <= _MAX_INVALID_LINES):
        # At least a line.
        end = text.rfind(b"\n", start, start + _PIECE_BYTES) + 1 or text.find(b"\n", start) + 1
        parsed = yield from parser.parse_steps(text[start:end])
        invalid += [start + offset for offset in parsed.invalid_offsets]
        start = end
        yield
    return start, tuple(invalid)
