"""The count of one run's lines, kept as its stdout comes.

After a restart of the agent it is made anew and fed the run's log from the start. Refuses to know
where the bytes come from, and what the results in them say.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from goloagent.concurrency.steps import Steps, finish
from goloagent.core.record import Record
from goloagent.results.invalid_line import InvalidLineReason, begins, explaining
from goloagent.results.line_splitter import LineSplitter, SplitBlock, count_newlines
from goloagent.results.parser import MAX_LINE_BYTES, reading_of


@attrs.define
class LineCounter:
    """How many lines were read, from a byte of the log on, and how many of them are no results.

    ``flawless`` is the last stretch of the log all of whose lines are results, as far as is known:
    blocks of whole lines. ``first_flaw`` is the first line that is no result, and ``is_cut`` says
    that the last line had no newline. `observe` is given the results themselves, block by block.
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
        """Lines that are results."""
        return self.read - self.invalid

    def feed(self, data: bytes) -> None:
        """Count the lines that are whole with the next piece of stdout, in one go."""
        finish(self.feeding(data))

    def feeding(self, data: bytes) -> Steps[None]:
        """Count them in steps, all of which are to be taken before the next piece."""
        whole = self._end + data.rfind(b"\n") + 1
        self._end += len(data)
        yield from self._count(self._splitter.feed(data), whole)

    def close(self) -> None:
        """Count the last line if it has no newline; nothing is fed after this."""
        finish(self.closing())

    def closing(self) -> Steps[None]:
        """Close in steps."""
        last = self._splitter.close()
        self.is_cut = last != SplitBlock()
        yield from self._count(last, self._end)

    def _count(self, lines: SplitBlock, end: int) -> Steps[None]:
        """Count lines that end where `end` says."""
        reading = yield from reading_of(lines.block)
        if not reading.lines and not lines.oversized:
            return
        invalid = len(reading.invalid_offsets) + lines.oversized
        if invalid and self.first_invalid is None:
            self.first_invalid = yield from self._explain(lines, reading.invalid_offsets)
        self.read += reading.lines + lines.oversized
        self.invalid += invalid
        self.verified_range = range(end if invalid else self.verified_range.start, end)
        if self.observe is not None:
            self.observe(reading.results)

    def _explain(self, lines: SplitBlock, flaws: list[int]) -> Steps[InvalidLineReason]:
        """Say what is wrong with the first of some lines that is no result."""
        start = flaws[0] if flaws else len(lines.block)
        before = count_newlines(lines.block[:start])
        if lines.oversized and lines.first_oversized <= before:
            reason = f"it is longer than {MAX_LINE_BYTES} bytes"
            return InvalidLineReason(self.read + lines.first_oversized + 1, reason, "")
        line = lines.block[start : lines.block.index(b"\n", start)]
        reason = yield from explaining(line)
        return InvalidLineReason(self.read + before + 1, reason, begins(line))
