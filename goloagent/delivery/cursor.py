"""A cursor over one run's log: where delivery stands, and which results come next.

Reads the log in windows through a function it is given and never holds more than one window. Knows
nothing of sending.
"""

from __future__ import annotations

from collections.abc import Callable

from goloagent.delivery.batch import Batch
from goloagent.results import output

WINDOW_BYTES = output.MAX_BODY_BYTES - 1
"""What the largest body can hold: the longest result and its newline just fit."""


class Cursor:
    """Goes forward through a log from `offset`.

    Args:
        read: returns up to so many bytes of the log from an offset; fewer only at its end.
        flawless: returns a stretch of the log all of whose lines are known to be results.
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

    def next(self, most: int, complete: bool, until: int | None = None) -> Batch | None:
        """Take the next stretch with up to `most` results, or None when there is none.

        A stretch ends early where a window does, however few results are in it; one without any
        (all its lines are invalid) is a batch with no results. `complete` says that the log will
        not grow: its last line then counts without a newline. With `until`, the end of an earlier
        batch from here, it is that batch.
        """
        if until is not None or self._window.results < most:
            self._window = self._fill(self._window.first, complete)
        if self._window.end == self._window.first:
            return None
        window = self._window
        batch, self._window = window.take(most) if until is None else window.cut(until)
        return batch

    def _fill(self, first: int, complete: bool) -> Batch:
        """Return the next window of whole lines; one without any is at the end of the log."""
        text = self._read(first, WINDOW_BYTES)
        end = first + len(text)
        if len(text) < WINDOW_BYTES and complete and text and not text.endswith(b"\n"):
            text += b"\n"
        elif whole := text.rfind(b"\n") + 1:
            text, end = text[:whole], first + whole
        else:
            is_long = len(text) == WINDOW_BYTES
            return Batch(first, self._pass_over(first, complete) if is_long else first, b"")
        known = self._flawless()
        if known.start <= first and end <= known.stop:
            return Batch(first, end, text)
        return Batch(first, end, text, tuple(output.read(text).flaws))

    def _pass_over(self, first: int, complete: bool) -> int:
        """Return the end of a line too long to be a result; its start until that is written."""
        self._searched = max(self._searched, first)
        while window := self._read(self._searched, WINDOW_BYTES):
            newline = window.find(b"\n")
            self._searched += len(window) if newline < 0 else newline + 1
            if newline >= 0:
                return self._searched
        return self._searched if complete else first
