"""The parser of a load test's stdout: which lines are results, and the records in them.

It works on blocks of whole lines, which `decoder` decodes in one call if all lines are results. A
block with other lines is halved, down to a single line.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import attrs

from goloagent.concurrency.steps import Steps, finish
from goloagent.core.record import Record
from goloagent.results.decoder import decode_lines, odd_line

MAX_BODY_BYTES = 1 << 20
"""The largest body that is sent to a collector."""

MAX_LINE_BYTES = MAX_BODY_BYTES - 2
"""The longest result, without its newline: between two brackets it still fits a body."""


@attrs.define
class ParsedBlock:
    """The results of a block, and the offsets at which its invalid lines begin."""

    results: list[Record] = attrs.Factory(list)
    invalid_offsets: list[int] = attrs.Factory(list)

    @property
    def lines(self) -> int:
        """The number of lines."""
        return len(self.results) + len(self.invalid_offsets)


def parse(block: bytes) -> ParsedBlock:
    """Parse whole lines, each ended by a newline, in one go."""
    return finish(parse_steps(block))


def parse_steps(block: bytes) -> Steps[ParsedBlock]:
    """Parse whole lines, each ended by a newline, in steps of a few milliseconds."""
    parsed = ParsedBlock()
    yield from _parse_into(parsed, block, 0)
    return parsed


def join_array(results: Iterable[bytes]) -> bytes:
    """Join results into the JSON array that is a batch's body."""
    return b"[%b]" % b",".join(results)


def _parse_into(parsed: ParsedBlock, block: bytes, start: int) -> Steps[None]:
    """Parse a block that begins at offset `start`."""
    if b"timestamp" not in block and b"\\u" not in block:
        # Plainly other output, which needs no decoding.
        parsed.invalid_offsets += _line_offsets(block, start)
        return
    fits = len(block) <= MAX_LINE_BYTES + 1
    if fits and (records := decode_lines(block)) is not None:
        parsed.results += records
        return
    yield
    half = block.rfind(b"\n", 0, len(block) // 2) + 1 or block.find(b"\n") + 1
    if half < len(block):
        yield from _parse_into(parsed, block[:half], start)
        yield from _parse_into(parsed, block[half:], start + half)
        return
    line = (yield from odd_line(block)) if fits else None
    if line is not None and (records := decode_lines(line, is_shallow=True)) is not None:
        parsed.results += records
    else:
        parsed.invalid_offsets.append(start)


def _line_offsets(block: bytes, start: int) -> Iterator[int]:
    """Yield the offset of each line of a block that begins at offset `start`."""
    end = -1
    while (end := block.find(b"\n", begin := end + 1)) >= 0:
        yield start + begin
