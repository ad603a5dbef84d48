"""The counts of one run's lines, updated as its stdout is read, or from its log after a restart."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from goloagent.concurrency.steps import Steps, finish
from goloagent.core.record import Record
from goloagent.results.invalid_line import InvalidLineReason, begins, explain
from goloagent.results.line_splitter import LineSplitter, SplitBlock, count_newlines
from goloagent.results.parser import MAX_LINE_BYTES, parse_steps


@attrs.define
class LineCounter:
    """The number of lines from byte `start` of the log on, and of invalid ones among them.

    ``verified_range`` is the last range of the log in which all lines are known to be results.
    ``first_invalid`` is the first line that is not a result, and ``is_cut`` says that the last line
    had no newline. `observe` receives the results, block by block.
    """

    read: int = 0
    invalid: int = 0
    start: int = attrs.field(default=0, repr=False, kw_only=True)
    verified_range: range = attrs.field(init=False, repr=False, eq=False)
    first_invalid: InvalidLineReason | None = attrs.field(
        init=False, repr=False, eq=False, default=None
    )
    is_cut: bool = attrs.field(init=False, repr=False, eq=False, default=False)
    observe: Callable[[list[Record]], None] | None = attrs.field(
        default=None, repr=False, eq=False, kw_only=True
    )
    _splitter: LineSplitter = attrs.field(
        init=False, repr=False, eq=False, factory=lambda: LineSplitter(MAX_LINE_BYTES)
    )
    _end: int = attrs.field(init=False, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        self._end = self.start
        self.verified_range = range(self.start, self.start)

    @property
    def valid(self) -> int:
        """The number of results."""
        return self.read - self.invalid

    def feed(self, data: bytes) -> None:
        """Count the lines that the next piece of stdout completes, in one go."""
        finish(self.feed_steps(data))

    def feed_steps(self, data: bytes) -> Steps[None]:
        """Do the same in steps, which must end before the next piece is fed."""
        whole = self._end + data.rfind(b"\n") + 1
        self._end += len(data)
        yield from self._count(self._splitter.feed(data), whole)

    def close(self) -> None:
        """Count the last line if it has no newline; nothing is fed after this."""
        finish(self.close_steps())

    def close_steps(self) -> Steps[None]:
        """Do the same in steps."""
        last = self._splitter.close()
        self.is_cut = last != SplitBlock()
        yield from self._count(last, self._end)

    def _count(self, lines: SplitBlock, end: int) -> Steps[None]:
        """Count lines that end at byte `end`."""
        parsed = yield from parse_steps(lines.block)
        if not parsed.lines and not lines.oversized:
            return
        invalid = len(parsed.invalid_offsets) + lines.oversized
        if invalid and self.first_invalid is None:
            self.first_invalid = yield from self._explain(lines, parsed.invalid_offsets)
        self.read += parsed.lines + lines.oversized
        self.invalid += invalid
        self.verified_range = range(end if invalid else self.verified_range.start, end)
        if self.observe is not None:
            self.observe(parsed.results)

    def _explain(self, lines: SplitBlock, invalid_offsets: list[int]) -> Steps[InvalidLineReason]:
        """Return the reason for the first invalid line of a block."""
        start = invalid_offsets[0] if invalid_offsets else len(lines.block)
        before = count_newlines(lines.block[:start])
        if lines.oversized and lines.first_oversized <= before:
            reason = f"it is longer than {MAX_LINE_BYTES} bytes"
            return InvalidLineReason(self.read + lines.first_oversized + 1, reason, "")
        line = lines.block[start : lines.block.index(b"\n", start)]
        reason = yield from explain(line)
        return InvalidLineReason(self.read + before + 1, reason, begins(line))
