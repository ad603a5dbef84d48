"""A batch: a range of a run's log, and the results in it, which are sent in one body."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import cached_property
from itertools import islice

import attrs

from goloagent.results.line_splitter import count_newlines
from goloagent.results.parser import join_array


@attrs.frozen(slots=False)
class Batch:
    """The log from byte `first` to byte `end`, exclusive.

    ``text`` is its lines, each with a newline, which was added to the log's last line if it had
    none; it is empty for a line that is too long. ``invalid_offsets`` are the offsets in the text
    of lines that are not results.
    """

    first: int
    end: int
    text: bytes = attrs.field(repr=False)
    invalid_offsets: tuple[int, ...] = ()

    @cached_property
    def results(self) -> int:
        """The number of results."""
        return count_newlines(self.text) - len(self.invalid_offsets)

    @property
    def units(self) -> int:
        """The number of results, into which it can be divided."""
        return self.results

    @property
    def is_empty(self) -> bool:
        """Whether it has no results."""
        return not self.results

    @property
    def key(self) -> str:
        """The range as ``first-last`` byte, by which a collector recognises a repeat."""
        return f"{self.first}-{self.end - 1}"

    @property
    def lines(self) -> list[bytes]:
        """The results as they were printed, without their newlines."""
        return [self.text[start : end - 1] for start, end in self._spans()]

    @property
    def body_bytes(self) -> int:
        """The maximum length of the body, which it has if no line is invalid."""
        return len(self.text) + 1

    def body(self) -> bytes:
        """Return the results as a JSON array."""
        if self.invalid_offsets or not self.text:
            return join_array(self.lines)
        # The fast path, without a look at the lines.
        return b"".join((b"[", memoryview(self.text.replace(b"\n", b","))[:-1], b"]"))

    def take(self, max_results: int, max_bytes: int = sys.maxsize) -> tuple[Batch, Batch]:
        """Split after at most `max_results` and `max_bytes` of text, but after one line or more."""
        if len(self.text) > max_bytes:
            place = self.text.rfind(b"\n", 0, max_bytes) + 1 or self.text.find(b"\n") + 1
            if place < len(self.text):
                taken, rest = self.cut(self.first + place)
                if taken.results <= max_results:
                    return taken, rest
        if self.results <= max_results:
            return self.cut(self.end)
        *_, (_, place) = islice(self._spans(), max_results)
        return self.cut(self.first + place)

    def halves(self) -> tuple[Batch, Batch]:
        """Split a batch of two results or more."""
        return self.take(self.results // 2)

    def cut(self, border: int) -> tuple[Batch, Batch]:
        """Split at a byte of the log where a line ends."""
        if border == self.end:
            return self, Batch(border, border, b"")
        place = border - self.first
        before = tuple(offset for offset in self.invalid_offsets if offset < place)
        after = tuple(offset - place for offset in self.invalid_offsets[len(before) :])
        return (
            Batch(self.first, border, self.text[:place], before),
            Batch(border, self.end, self.text[place:], after),
        )

    def _spans(self) -> Iterator[tuple[int, int]]:
        """Yield the offsets in the text where each result begins, and where its newline ends."""
        invalid = set(self.invalid_offsets)
        start = 0
        while end := self.text.find(b"\n", start) + 1:
            if start not in invalid:
                yield start, end
            start = end
