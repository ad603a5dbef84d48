"""What a result is: which lines of a load test's stdout are forwarded, byte for byte.

Works on blocks of whole lines. A line is a result when a collector written in Go can decode it,
however it was written; `grammar` spells that rule out. It refuses to know where the lines come
from, where they go, and what their numbers mean.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Annotated, Any

from msgspec import DecodeError, Meta, Raw, Struct
from msgspec.json import Decoder

from goloagent.results import grammar

MAX_BODY_BYTES = 1 << 20
"""The largest body that is sent to a collector."""

MAX_LINE_BYTES = MAX_BODY_BYTES - 2
"""The longest result, without its newline: between two brackets it still fits a body."""

_Int64 = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]


class _Record(Struct, gc=False):
    timestamp: Raw
    sequenceID: str | None = None
    url: str | None = None
    method: str | None = None
    status: _Int64 | None = None
    size: _Int64 | None = None
    duration: _Int64 | None = None
    error: Any = None


class _BareRecord(_Record, forbid_unknown_fields=True, gc=False):
    """A record with no other members than its own, each named as it should be."""


_decode_bare = Decoder(_BareRecord).decode
_decode_record = Decoder(_Record).decode
_decode_members = Decoder(dict[str, Any]).decode

_is_timestamp = re.compile(f'"{grammar.TIMESTAMP}"'.encode()).fullmatch
_has_escaped_name = re.compile(rb'"[A-Za-z]*\\u').search

_ALL_DIGITS_ZERO = bytes.maketrans(b"123456789", b"0" * 9)
_LONG_S = "\u017f".encode()  # Go folds it to s
_HUGE_NUMBER = b"0" * 309  # with a digit less, it is a float64


def is_result(line: bytes) -> bool:
    """Tell whether a line, without its newline, is a result."""
    return (
        len(line) <= MAX_LINE_BYTES
        and _may_have_timestamp(line)
        and (
            _are_ordinary([line], line, _decode_bare)
            or _are_ordinary([line], line, _decode_with_extras)
            or grammar.accepts(line)
        )
    )


def _may_have_timestamp(line: bytes) -> bool:
    """Tell whether a line may have a member that Go takes for the timestamp.

    Saves all decoding of what is plainly something else, such as a load test's chatter.
    """
    return b"timestamp" in line.lower() or b"\\u" in line or _LONG_S in line


def count_valid(block: bytes) -> int:
    """Count the results in a block of whole lines, each ended by a newline."""
    lines = select(block)
    return len(lines) - lines.count(None)


def select(block: bytes) -> list[bytes | None]:
    """Return each line of a block without its newline, or None in its place if it is no result.

    The block is of whole lines, each ended by a newline.
    """
    lines = block.split(b"\n")
    lines.pop()  # what follows the last newline: nothing
    longest_bytes = max(map(len, lines), default=0)
    if longest_bytes <= MAX_LINE_BYTES and _are_ordinary(lines, block, _decode_bare):
        return [*lines]
    return [line if is_result(line) else None for line in lines]


def array(results: Iterable[bytes]) -> bytes:
    """Join results into the JSON array that is a batch's body."""
    return b"[%b]" % b",".join(results)


def _are_ordinary(lines: list[bytes], block: bytes, decode: Callable[[bytes], _Record]) -> bool:
    """Tell whether all lines, which are those of the block, are results by msgspec's word.

    The fast path: it leaves to the grammar, at twenty times the cost and more, only lines for which
    this is False, which by itself says nothing.
    What msgspec takes and Go does not is never ordinary: a second timestamp, of which msgspec gives
    only the last, and a number in `error` that no float64 holds.
    """
    try:
        records = list(map(decode, lines))
    except (DecodeError, ValueError, RecursionError):
        return False
    return (
        all(map(_is_timestamp, [record.timestamp for record in records]))
        and block.count(b'"timestamp"') == len(lines)
        and (b"\\" not in block or not _has_escaped_name(block))
        and (
            all(record.error is None for record in records)
            or _HUGE_NUMBER not in block.translate(_ALL_DIGITS_ZERO)
        )
    )


def _decode_with_extras(line: bytes) -> _Record:
    """Decode a record that has other members beside its own.

    msgspec does not look into members that it skips, so all are decoded first.

    Raises `ValueError` for a name that Go takes for one of a record's own.
    """
    for name in _decode_members(line).keys() - set(_Record.__struct_fields__):
        if grammar.is_own(name):
            raise ValueError(name)
    return _decode_record(line)
