"""What a result is: which lines of a load test's stdout are forwarded, byte for byte.

Works on blocks of whole lines. A line is a result when a collector written in Go can decode it,
however it was written; `go_json` spells that rule out. It refuses to know where the lines come
from, where they go, and what their numbers mean.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import attrs
from msgspec import Raw

from goloagent.concurrency.steps import Steps, finish
from goloagent.core.record import Record
from goloagent.results import go_json
from goloagent.results.fast_parser import parse_block_fast

MAX_BODY_BYTES = 1 << 20
"""The largest body that is sent to a collector."""

MAX_LINE_BYTES = MAX_BODY_BYTES - 2
"""The longest result, without its newline: between two brackets it still fits a body."""

_LONG_S = "\u017f".encode()  # Go folds it to s


@attrs.define
class ParsedBlock:
    """What is in a block: the results, and at which byte each line begins that is none.

    ``judged`` is how many bytes the grammar was asked about, which takes long.
    """

    results: list[Record] = attrs.Factory(list)
    invalid_offsets: list[int] = attrs.Factory(list)
    slow_path_bytes: int = 0

    @property
    def lines(self) -> int:
        """How many lines were read."""
        return len(self.results) + len(self.invalid_offsets)


def read(block: bytes) -> ParsedBlock:
    """Read a block of whole lines, each ended by a newline, in one go."""
    return finish(reading_of(block))


def reading_of(block: bytes) -> Steps[ParsedBlock]:
    """Read a block of whole lines, each ended by a newline, in steps of a few milliseconds."""
    reading = ParsedBlock()
    yield from _read_into(reading, block, 0)
    return reading


def _read_into(reading: ParsedBlock, block: bytes, start: int) -> Steps[None]:
    """Read a block that begins at `start`, in one go or by halves down to the lines that differ."""
    if not _may_have_timestamp(block):
        reading.invalid_offsets += _starts(block, start)
        return
    fits = len(block) <= MAX_LINE_BYTES + 1
    if fits and (found := parse_block_fast(block)) is not None:
        reading.results += found
        return
    yield
    half = block.rfind(b"\n", 0, len(block) // 2) + 1 or block.find(b"\n") + 1
    if half < len(block):
        yield from _read_into(reading, block[:half], start)
        yield from _read_into(reading, block[half:], start + half)
        return
    record = None
    if fits:
        reading.slow_path_bytes += len(block)
        record = yield from _by_the_grammar(block[:-1])
    if record is not None:
        reading.results.append(record)
    else:
        reading.invalid_offsets.append(start)


def _starts(block: bytes, start: int) -> Iterator[int]:
    """Yield where each line of a block begins that itself begins at `start`."""
    end = -1
    while (end := block.find(b"\n", begin := end + 1)) >= 0:
        yield start + begin


def is_result(line: bytes) -> bool:
    """Tell whether a line, without its newline, is a result."""
    return not read(line + b"\n").invalid_offsets


def join_array(results: Iterable[bytes]) -> bytes:
    """Join results into the JSON array that is a batch's body."""
    return b"[%b]" % b",".join(results)


def _by_the_grammar(line: bytes) -> Steps[Record | None]:
    """Return the record in a line by the plain rule, which is exact for every line."""
    members = yield from go_json.reading(line)
    if members is None:
        return None
    return Record(
        timestamp=Raw(members["timestamp"].encode()),
        sequenceID=go_json.text(members.get("sequenceid", "null")),
        url=go_json.text(members.get("url", "null")),
        method=go_json.text(members.get("method", "null")),
        status=go_json.integer(members.get("status", "null")),
        size=go_json.integer(members.get("size", "null")),
        duration=go_json.integer(members.get("duration", "null")),
        error=None if members.get("error", "null") == "null" else members["error"],
    )


def _may_have_timestamp(block: bytes) -> bool:
    """Tell whether some line may have a member that Go takes for the timestamp.

    Saves all decoding of what is plainly something else, such as a load test's chatter.
    """
    return (
        b"timestamp" in block
        or b"timestamp" in block.lower()
        or b"\\u" in block
        or _LONG_S in block
    )
