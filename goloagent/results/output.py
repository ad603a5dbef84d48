"""What a result is: which lines of a load test's stdout are forwarded, byte for byte.

Works on blocks of whole lines. A line is a result when a collector written in Go can decode it,
however it was written; `grammar` spells that rule out. It refuses to know where the lines come
from, where they go, and what their numbers mean.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any

from msgspec import DecodeError, Meta, Raw, Struct
from msgspec.json import Decoder

from goloagent.results import grammar

MAX_BODY_BYTES = 1 << 20
"""The largest body that is sent to a collector."""

MAX_LINE_BYTES = MAX_BODY_BYTES - 2
"""The longest result, without its newline: between two brackets it still fits a body."""

_Int64 = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]


class Record(Struct, gc=False):
    """A result's members; None is a null, or none at all: Go's zero value.

    Of a member that is there twice, the last counts. `timestamp` is as it was written.
    """

    timestamp: Raw
    sequenceID: str | None = None
    url: str | None = None
    method: str | None = None
    status: _Int64 | None = None
    size: _Int64 | None = None
    duration: _Int64 | None = None
    error: Any = None


class _BareRecord(Record, forbid_unknown_fields=True, gc=False):
    """A record with no other members than its own, each named as it should be."""


_decode_bare = Decoder(_BareRecord).decode
_decode_record = Decoder(Record).decode
_decode_members = Decoder(dict[str, Any]).decode

_is_timestamp = re.compile(f'"{grammar.TIMESTAMP}"'.encode()).fullmatch
_has_escaped_name = re.compile(rb'"[A-Za-z]*\\u').search

_ALL_DIGITS_ZERO = bytes.maketrans(b"123456789", b"0" * 9)
_LONG_S = "\u017f".encode()  # Go folds it to s
_HUGE_NUMBER = b"0" * 309  # with a digit less, it is a float64


def is_result(line: bytes) -> bool:
    """Tell whether a line, without its newline, is a result."""
    return _record(line) is not None


def _record(line: bytes) -> Record | None:
    """Return the record in a line, without its newline, or None if it is no result."""
    if len(line) > MAX_LINE_BYTES or not _may_have_timestamp(line):
        return None
    records = _ordinary([line], line, _decode_bare) or _ordinary([line], line, _decode_with_extras)
    return records[0] if records else _by_the_grammar(line)


def _by_the_grammar(line: bytes) -> Record | None:
    """Return the record in a line by the plain rule, which is exact for every line."""
    members = grammar.read(line)
    if members is None:
        return None
    return Record(
        timestamp=Raw(members["timestamp"].encode()),
        sequenceID=grammar.text(members.get("sequenceid", "null")),
        url=grammar.text(members.get("url", "null")),
        method=grammar.text(members.get("method", "null")),
        status=grammar.integer(members.get("status", "null")),
        size=grammar.integer(members.get("size", "null")),
        duration=grammar.integer(members.get("duration", "null")),
        error=None if members.get("error", "null") == "null" else members["error"],
    )


def _may_have_timestamp(line: bytes) -> bool:
    """Tell whether a line may have a member that Go takes for the timestamp.

    Saves all decoding of what is plainly something else, such as a load test's chatter.
    """
    return b"timestamp" in line.lower() or b"\\u" in line or _LONG_S in line


def records(block: bytes) -> list[Record]:
    """Return the results in a block of whole lines, each ended by a newline."""
    return [record for record in _records(_lines(block), block) if record is not None]


def select(block: bytes) -> list[bytes | None]:
    """Return each line of a block without its newline, or None in its place if it is no result.

    The block is of whole lines, each ended by a newline.
    """
    lines = _lines(block)
    found = _records(lines, block)
    return [None if record is None else line for line, record in zip(lines, found, strict=True)]


def _lines(block: bytes) -> list[bytes]:
    lines = block.split(b"\n")
    lines.pop()  # what follows the last newline: nothing
    return lines


def _records(lines: list[bytes], block: bytes) -> Sequence[Record | None]:
    """Return the record in each line of a block, or None in its place."""
    longest_bytes = max(map(len, lines), default=0)
    if longest_bytes <= MAX_LINE_BYTES:
        ordinary = _ordinary(lines, block, _decode_bare)
        if ordinary is not None:
            return ordinary
    return [_record(line) for line in lines]


def array(results: Iterable[bytes]) -> bytes:
    """Join results into the JSON array that is a batch's body."""
    return b"[%b]" % b",".join(results)


def _ordinary(
    lines: list[bytes], block: bytes, decode: Callable[[bytes], Record]
) -> list[Record] | None:
    """Return the records in all lines, which are those of the block, if msgspec's word suffices.

    The fast path: it leaves to the grammar, at twenty times the cost and more, only lines for which
    this is None, which by itself says nothing.
    What msgspec takes and Go does not is never ordinary: a second timestamp, of which msgspec gives
    only the last, and a number in `error` that no float64 holds.
    """
    try:
        records = list(map(decode, lines))
    except (DecodeError, ValueError, RecursionError):
        return None
    ordinary = (
        all(map(_is_timestamp, [record.timestamp for record in records]))
        and block.count(b'"timestamp"') == len(lines)
        and (b"\\" not in block or not _has_escaped_name(block))
        and (
            [record.error for record in records].count(None) == len(records)
            or _HUGE_NUMBER not in block.translate(_ALL_DIGITS_ZERO)
        )
    )
    return records if ordinary else None


def _decode_with_extras(line: bytes) -> Record:
    """Decode a record that has other members beside its own.

    msgspec does not look into members that it skips, so all are decoded first.

    Raises `ValueError` for a name that Go takes for one of a record's own.
    """
    for name in _decode_members(line).keys() - set(Record.__struct_fields__):
        if grammar.is_own(name):
            raise ValueError(name)
    return _decode_record(line)
