"""The count of one run's lines, kept as its stdout comes.

After a restart of the agent it is made anew and fed the run's log from the start. Refuses to know
where the bytes come from, and what the results in them say.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from goloagent.results.lines import Lines, LineSplitter
from goloagent.results.output import MAX_LINE_BYTES, Record, records


@attrs.define
class Tally:
    """How many lines were read, and how many of them are no results.

    `observe` is given the results themselves, block by block.
    """

    read: int = 0
    invalid: int = 0
    observe: Callable[[list[Record]], None] | None = attrs.field(
        default=None, repr=False, eq=False, kw_only=True
    )
    _splitter: LineSplitter = attrs.field(
        init=False, repr=False, eq=False, factory=lambda: LineSplitter(MAX_LINE_BYTES)
    )

    @property
    def valid(self) -> int:
        """Lines that are results."""
        return self.read - self.invalid

    def feed(self, data: bytes) -> None:
        """Count the lines that are whole with the next piece of stdout."""
        self._count(self._splitter.feed(data))

    def close(self) -> None:
        """Count the last line if it has no newline; nothing is fed after this."""
        self._count(self._splitter.close())

    def _count(self, lines: Lines) -> None:
        read = lines.block.count(b"\n")
        results = records(lines.block)
        self.read += read + lines.oversized
        self.invalid += read - len(results) + lines.oversized
        if self.observe is not None:
            self.observe(results)
