"""The fast path for results: a block of lines decoded in one go, if all of them are ordinary.

A line is ordinary when msgspec's word and a few looks at the whole block tell what `go_json` would,
at a fiftieth of the cost. Of a block that has any other line nothing is said here: what is in it is
for `output` to find out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from msgspec import DecodeError, Raw
from msgspec.json import Decoder

from goloagent.core.record import Record
from goloagent.results import go_json, line_splitter


class _BareRecord(Record, forbid_unknown_fields=True, gc=False):
    """A record with no other members than its own, each named as it should be."""


class _PlainRecord(_BareRecord, gc=False):
    """A record whose every `error` is null: of one that is there twice, msgspec gives the last."""

    error: None = None


_Decode = Callable[[bytes], Sequence[Record]]

_decode_plain = Decoder(_PlainRecord).decode_lines
_decode_bare = Decoder(_BareRecord).decode_lines
_decode_record = Decoder(Record).decode_lines
_decode_members = Decoder(dict[str, Any]).decode_lines

_has_escaped_name = re.compile(rb'"[A-Za-z]*\\u').search
_borders = re.compile(rb"\}[ \t\r]*\n[ \t\r]*\{").findall
_ALL_DIGITS_ZERO = bytes.maketrans(b"123456789", b"0" * 9)
_HUGE_NUMBER = b"0" * 309  # with a digit less, it is a float64

_is_timestamp = re.compile(f'"{go_json.TIMESTAMP}"'.encode()).fullmatch
_around_fraction = re.compile(f'("{go_json.SECOND}[.])[0-9]+({go_json.OFFSET}")'.encode()).fullmatch
_DIGITS = b"0123456789"
# To look at timestamps together takes as long as at so many one by one.
_MANY = 16


def parse_block_fast(block: bytes) -> Sequence[Record] | None:
    """Return the record of each line of a block, or None if one of them is not ordinary.

    The block is of whole lines, at least one, each ended by a newline.
    """
    decoders: tuple[_Decode, ...] = (_decode_plain, _decode_bare, _decode_with_extras)
    for decode in decoders:
        try:
            records = decode(block)
        except (DecodeError, ValueError, RecursionError):
            continue
        return records if _are_ordinary(records, block) else None
    return None


def _decode_with_extras(block: bytes) -> list[Record]:
    """Decode records that have other members beside their own.

    msgspec does not look into members that it skips, so all are decoded first.

    Raises `ValueError` for a name that Go takes for one of a record's own.
    """
    names: set[str] = set().union(*_decode_members(block))
    for name in names.difference(Record.__struct_fields__):
        if go_json.is_own(name):
            raise ValueError(name)
    return _decode_record(block)


def _are_ordinary(records: Sequence[Record], block: bytes) -> bool:
    """Tell whether all that msgspec took from a block are results, each on a line of its own.

    Go refuses two timestamps, of which msgspec gives only the last, a number in `error` that no
    float64 holds, and what is deeper than msgspec goes with some versions of Python only.
    """
    return (
        _is_one_a_line(len(records), block)
        and _are_timestamps([record.timestamp for record in records])
        and block.count(b'"timestamp"') == len(records)
        and (b"\\" not in block or not _has_escaped_name(block))
        and (
            isinstance(records[0], _PlainRecord)
            or (_HUGE_NUMBER not in block.translate(_ALL_DIGITS_ZERO) and _is_shallow(block))
        )
    )


def _is_one_a_line(count: int, block: bytes) -> bool:
    """Tell whether so many objects, to msgspec divided by any white space, are one a line.

    They are if there are as many lines, and an object ends where each ends and begins where the
    next begins: no JSON has a brace that closes, a newline and a brace that opens, but between two
    objects. That all begin with the same name and no spaces is tried first, which is much faster.
    """
    if line_splitter.count_newlines(block) != count:
        return False
    beginning = block[: block.find(b":") + 1]
    return (
        count == 1
        or block.count(b"}\n" + beginning) == count - 1
        or len(_borders(block)) == count - 1
    )


def _is_shallow(block: bytes) -> bool:
    """Tell whether no line has more brackets that open than Go goes deep."""
    return _brackets(block) <= go_json.MAX_DEPTH or all(
        _brackets(line) <= go_json.MAX_DEPTH for line in block.split(b"\n")
    )


def _brackets(text: bytes) -> int:
    return text.count(b"[") + text.count(b"{")


def _are_timestamps(texts: list[Raw]) -> bool:
    """Tell whether all texts are timestamps; of many, nearly all are of the same second."""
    return (len(texts) >= _MANY and _are_of_one_second(texts)) or all(map(_is_timestamp, texts))


def _are_of_one_second(texts: list[Raw]) -> bool:
    """Tell whether all texts are timestamps that differ in the digits of their fractions alone.

    The fast path beside looking at each, in half of the time. When each begins with the same second
    and ends in the same offset, and all the digits left out leave the same of each, then there is
    nothing between but digits: some, as no dot is followed by an offset.
    """
    first = _around_fraction(texts[0])
    if first is None:
        return False
    beginning, end = first.groups()
    joined = b"\n".join(texts)
    frame = (beginning + end).translate(None, _DIGITS)
    return (
        joined.count(b"\n" + beginning) == joined.count(end + b"\n") == len(texts) - 1
        and joined.endswith(end)
        and b"." + end not in joined
        and joined.translate(None, _DIGITS) == b"\n".join([frame] * len(texts))
    )
