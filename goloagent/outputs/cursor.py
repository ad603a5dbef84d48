"""A cursor over one run's log: where delivery stands, and which results come next.

Reads the log in windows through a function it is given and never holds more than one window. Knows
nothing of sending.
"""

from __future__ import annotations

from collections.abc import Callable

from goloagent.concurrency.steps import Steps, finish
from goloagent.outputs.batch import Batch
from goloagent.results import parser

WINDOW_BYTES = parser.MAX_BODY_BYTES - 1
"""What the largest body can hold: the longest result and its newline just fit."""

# A window is decoded piece by piece, and ends early behind one with which so many of its bytes took
# long, or so many lines are no results: nothing that is printed holds others up or fills memory.
_PIECE_BYTES = 64 * 1024
_MANY_JUDGED_BYTES = 16 * 1024
_MANY_FLAWS = 16 * 1024


class Cursor:
    """Goes forward through a log from `offset`.

    Args:
        read: returns up to so many bytes of the log from an offset; fewer only at its end.
        flawless: returns a stretch of the log all of whose lines are known to be results. What
            it says of bytes that have become zeros since, as in a log that was cut, is not heeded.
    """

    def __init__(
        self,
        read: Callable[[int, int], bytes],
        offset: int,
        flawless: Callable[[], range] = lambda: range(0),
    ) -> None:
        self._read = read
        self._flawless = flawless
        self._searched = offset
        self._window = Batch(offset, offset, b"")  # what is read and not taken
        self._loaded: tuple[int, bool, int | None] | None = None

    @property
    def offset(self) -> int:
        """Where the next batch begins."""
        return self._window.first

    def next(
        self,
        most: int,
        complete: bool,
        until: int | None = None,
        most_bytes: int = parser.MAX_BODY_BYTES,
    ) -> Batch | None:
        """Take the next stretch with up to `most` results, or None when there is none.

        Its body has at most so many bytes, but for a single line that is longer.

        A stretch ends early where a window does, however few results are in it; one without any
        (all its lines are invalid) is a batch with no results. `complete` says that the log will
        not grow: its last line then counts without a newline. With `until`, the end of an earlier
        batch from here, it is that batch.
        """
        if self._loaded != (most, complete, until):
            finish(self.loading(most, complete, until))
        self._loaded = None
        if self._window.end == self._window.first:
            return None
        window = self._window
        if until is None:
            # A body is at most a byte longer than its text.
            batch, self._window = window.take(most, most_bytes - 1)
        else:
            batch, self._window = window.cut(min(until, window.end))
        return batch

    def loading(self, most: int, complete: bool, until: int | None = None) -> Steps[None]:
        """Read and decode what `next` takes when it is asked for the same, in steps.

        Raises:
            OSError: the log cannot be read.
        """
        if until is not None or self._window.results < most:
            self._window = yield from self._fill(self._window.first, complete, until)
        self._loaded = (most, complete, until)

    def skip(self, end: int) -> Batch:
        """Pass over what cannot be read any more: a batch of no results, up to `end`."""
        self._loaded = None
        skipped = Batch(self.offset, end, b"")
        self._window = Batch(end, end, b"")
        return skipped

    def _fill(self, first: int, complete: bool, until: int | None) -> Steps[Batch]:
        """Return the next window of whole lines; one without any is at the end of the log."""
        count = WINDOW_BYTES if until is None else min(until - first, WINDOW_BYTES)
        text = self._read(first, count)
        end = first + len(text)
        lent = complete and text[-1:] not in (b"", b"\n") and len(text) < WINDOW_BYTES
        if lent:
            text += b"\n"
        elif whole := text.rfind(b"\n") + 1:
            text, end = text[:whole], first + whole
        else:
            is_long = len(text) == WINDOW_BYTES
            end = (yield from self._pass_over(first, complete)) if is_long else first
            return Batch(first, end, b"")
        known = self._flawless()
        # A log that was cut meanwhile ends in a line that the tally has not seen so.
        is_known = known.start <= first and (end == known.stop or (end < known.stop and not lent))
        if is_known and b"\0" not in text:
            return Batch(first, end, text)
        decoded, flaws = yield from _decode(text, whole=until is not None)
        if decoded < len(text):
            text, end = text[:decoded], first + decoded
        return Batch(first, end, text, flaws)

    def _pass_over(self, first: int, complete: bool) -> Steps[int]:
        """Return the end of a line too long to be a result; its start until that is written."""
        self._searched = max(self._searched, first)
        while window := self._read(self._searched, WINDOW_BYTES):
            newline = window.find(b"\n")
            self._searched += len(window) if newline < 0 else newline + 1
            if newline >= 0:
                return self._searched
            yield
        return self._searched if complete else first


def _decode(text: bytes, whole: bool) -> Steps[tuple[int, tuple[int, ...]]]:
    """Return how far a text of lines is decoded, perhaps not the whole, and where its flaws are."""
    flaws: list[int] = []
    judged = start = 0
    while start < len(text):
        # At least a line.
        end = text.rfind(b"\n", start, start + _PIECE_BYTES) + 1 or text.find(b"\n", start) + 1
        reading = yield from parser.reading_of(text[start:end])
        flaws += [start + flaw for flaw in reading.invalid_offsets]
        judged += reading.slow_path_bytes
        start = end
        yield
        if not whole and (judged > _MANY_JUDGED_BYTES or len(flaws) > _MANY_FLAWS):
            break
    return start, tuple(flaws)
