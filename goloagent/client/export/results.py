"""The results in a log that arrives in pieces, for several writers at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import attrs

from goloagent.client.export.output_file import OutputFile
from goloagent.core.record import Record
from goloagent.results.line_splitter import LineSplitter, SplitBlock
from goloagent.results.parser import MAX_LINE_BYTES, parse
from goloagent.results.table import csv_header, to_csv


class ResultWriter(Protocol):
    """Writes results in their order."""

    def write(self, lines: bytes, records: Sequence[Record]) -> None:
        """Write the results of whole lines, and nothing else that they have."""

    def close(self) -> None:
        """Write what is left."""


@attrs.define
class ResultFeed:
    """Feeds the results of a log to writers; memory is bounded by the pieces and one line.

    Attributes:
        results: that were written.
        left_out: lines that are no results.
    """

    writers: Sequence[ResultWriter]
    results: int = 0
    left_out: int = 0
    _splitter: LineSplitter = attrs.field(factory=lambda: LineSplitter(MAX_LINE_BYTES))

    def feed(self, piece: bytes) -> None:
        """Write the results of the lines that the next piece completes."""
        self._write(self._splitter.feed(piece))

    def close(self) -> None:
        """Write the last line, if it has no newline, and close the writers."""
        self._write(self._splitter.close())
        for writer in self.writers:
            writer.close()

    def _write(self, split: SplitBlock) -> None:
        parsed = parse(split.block) if split.block else None
        self.left_out += split.oversized
        if parsed is None:
            return
        self.results += len(parsed.results)
        self.left_out += len(parsed.invalid_offsets)
        lines = _without(split.block, parsed.invalid_offsets)
        for writer in self.writers if parsed.results else ():
            writer.write(lines, parsed.results)


def _without(block: bytes, offsets: Sequence[int]) -> bytes:
    """Return a block without the lines at some offsets."""
    if not offsets:
        return block
    kept, start = [], 0
    for offset in offsets:
        kept.append(block[start:offset])
        start = block.index(b"\n", offset) + 1
    return b"".join([*kept, block[start:]])


@attrs.define
class JsonLinesWriter:
    """Writes results as the load test has printed them."""

    file: OutputFile

    def write(self, lines: bytes, records: Sequence[Record]) -> None:
        """Write the lines."""
        self.file.write(lines)

    def close(self) -> None:
        """Do nothing more."""


@attrs.define
class CsvWriter:
    """Writes a CSV table of results."""

    file: OutputFile

    def __attrs_post_init__(self) -> None:
        self.file.write(csv_header())

    def write(self, lines: bytes, records: Sequence[Record]) -> None:
        """Write a row for each result."""
        self.file.write(to_csv(records))

    def close(self) -> None:
        """Do nothing more."""
