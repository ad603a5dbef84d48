"""A cursor over one run's log: where delivery stands, and which results come next.

Reads the log in windows through a function it is given and never holds more than one window. Knows
nothing of sending.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import attrs

from goloagent.results.output import MAX_BODY_BYTES, array, select

WINDOW_BYTES = MAX_BODY_BYTES


@attrs.frozen
class Batch:
    """Results from a stretch of the log, from byte `first` up to and without byte `end`.

    Each line goes with the offset of its end, so that a batch can be divided in place.
    """

    first: int
    end: int
    lines: tuple[tuple[int, bytes], ...]

    @property
    def key(self) -> str:
        """The stretch as ``first-last`` byte, by which a collector can recognise a repeat."""
        return f"{self.first}-{self.end - 1}"

    def body(self) -> bytes:
        """Return the results as a JSON array of at most `MAX_BODY_BYTES`."""
        return array([line for _, line in self.lines])

    def halves(self) -> tuple[Batch, Batch]:
        """Divide a batch of two results or more."""
        middle = len(self.lines) // 2
        border = self.lines[middle - 1][0]
        return (
            Batch(self.first, border, self.lines[:middle]),
            Batch(border, self.end, self.lines[middle:]),
        )


class Cursor:
    """Goes forward through a log from `offset`.

    Args:
        read: returns up to so many bytes of the log from an offset; fewer only at its end.
    """

    def __init__(self, read: Callable[[int, int], bytes], offset: int) -> None:
        self._read = read
        self._taken = offset
        self._seen = offset
        self._searched = offset
        self._ready: deque[tuple[int, bytes | None]] = deque()

    def next(self, most: int, complete: bool, until: int | None = None) -> Batch | None:
        """Take the next stretch with up to `most` results, or None when there is none.

        A stretch ends early once it is a window long, however few results are in it; one without
        any (all its lines are invalid) is a batch with no lines. `complete` says that the log will
        not grow: its last line then counts without a newline. With `until`, the end of an earlier
        batch from here, it is that batch.
        """
        first, lines, size = self._taken, list[tuple[int, bytes]](), 1
        if until is not None:
            most = until - first
        while len(lines) < most and self._taken - first < WINDOW_BYTES and self._taken != until:
            if not self._ready and not self._fill(complete):
                break
            end, line = self._ready[0]
            if line is not None:
                size += len(line) + 1
                if size > MAX_BODY_BYTES:
                    break
                lines.append((end, line))
            self._ready.popleft()
            self._taken = end
        if self._taken == first:
            return None
        return Batch(first, self._taken, tuple(lines))

    def _fill(self, complete: bool) -> bool:
        """Read the next window of whole lines; tell whether there was one."""
        window = self._read(self._seen, WINDOW_BYTES)
        whole = window.rfind(b"\n") + 1
        if whole:
            block = window[:whole]
        elif len(window) == WINDOW_BYTES:
            return self._pass_over(complete)
        elif complete and window:
            block = window + b"\n"
        else:
            return False
        end = self._seen
        for text, line in zip(block.split(b"\n"), select(block), strict=False):
            end += len(text) + 1
            self._ready.append((end, line))
        if not whole:
            # The newline was lent: the log ends before it.
            self._ready[-1] = (end - 1, line)
        self._seen += len(window[:whole] or window)
        return True

    def _pass_over(self, complete: bool) -> bool:
        """Go to the end of a line too long to be a result, whose end may not be written yet."""
        self._searched = max(self._searched, self._seen)
        while window := self._read(self._searched, WINDOW_BYTES):
            newline = window.find(b"\n")
            self._searched += len(window) if newline < 0 else newline + 1
            if newline >= 0:
                break
        else:
            if not complete:
                return False
        self._seen = self._searched
        self._ready.append((self._seen, None))
        return True
