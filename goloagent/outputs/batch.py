"""A batch: a stretch of a run's log, and the results in it, which are sent in one body."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import cached_property
from itertools import islice

import attrs

from goloagent.results import line_splitter
from goloagent.results.parser import join_array


@attrs.frozen(slots=False)
class Batch:
    """The log from byte `first` up to and without byte `end`.

    ``text`` is its lines, each ended by a newline, if only by one lent to the log's last line; it
    is empty for a line that is too long. ``flaws`` are the places in the text where lines begin
    that are no results.
    """

    first: int
    end: int
    text: bytes = attrs.field(repr=False)
    flaws: tuple[int, ...] = ()

    @cached_property
    def results(self) -> int:
        """How many results there are."""
        return line_splitter.count_newlines(self.text) - len(self.flaws)

    @property
    def key(self) -> str:
        """The stretch as ``first-last`` byte, by which a collector can recognise a repeat."""
        return f"{self.first}-{self.end - 1}"

    @property
    def lines(self) -> list[bytes]:
        """The results as they were printed, without their newlines."""
        return [self.text[start : end - 1] for start, end in self._spans()]

    @property
    def body_bytes(self) -> int:
        """How long the body is at most: as long as it is, when there are no flaws."""
        return len(self.text) + 1

    def body(self) -> bytes:
        """Return the results as a JSON array, which is at most a byte longer than the text."""
        if self.flaws or not self.text:
            return join_array(self.lines)
        # The fast path, which looks at no line.
        return b"".join((b"[", memoryview(self.text.replace(b"\n", b","))[:-1], b"]"))

    def take(self, most: int, most_bytes: int = sys.maxsize) -> tuple[Batch, Batch]:
        """Divide behind so many results or bytes of text, or behind the last line.

        At least a line is taken, however long it is.
        """
        if len(self.text) > most_bytes:
            place = self.text.rfind(b"\n", 0, most_bytes) + 1 or self.text.find(b"\n") + 1
            if place < len(self.text):
                taken, rest = self.cut(self.first + place)
                if taken.results <= most:
                    return taken, rest
        if self.results <= most:
            return self.cut(self.end)
        *_, (_, place) = islice(self._spans(), most)
        return self.cut(self.first + place)

    def halves(self) -> tuple[Batch, Batch]:
        """Divide a batch of two results or more."""
        return self.take(self.results // 2)

    def cut(self, border: int) -> tuple[Batch, Batch]:
        """Divide at a byte of the log where a line ends."""
        if border == self.end:
            return self, Batch(border, border, b"")
        place = border - self.first
        before = tuple(flaw for flaw in self.flaws if flaw < place)
        behind = tuple(flaw - place for flaw in self.flaws[len(before) :])
        return (
            Batch(self.first, border, self.text[:place], before),
            Batch(border, self.end, self.text[place:], behind),
        )

    def _spans(self) -> Iterator[tuple[int, int]]:
        """Yield where in the text each result begins, and where behind its newline it ends."""
        flaws = set(self.flaws)
        start = 0
        while end := self.text.find(b"\n", start) + 1:
            if start not in flaws:
                yield start, end
            start = end
