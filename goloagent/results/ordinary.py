"""The fast path for results: a block of lines decoded in one go, if all of them are ordinary.

A line is ordinary when msgspec's word and a few looks at the whole block tell what `grammar` would,
at a fiftieth of the cost. Of a block that has any other line nothing is said here: what is in it is
for `output` to find out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from msgspec import DecodeError, Raw
from msgspec.json import Decoder

from goloagent.results import grammar, lines
from goloagent.results.record import Record


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

_TIMESTAMP = f'"{grammar.TIMESTAMP}"'.encode()
_is_timestamp = re.compile(_TIMESTAMP).fullmatch
_SECOND_BYTES = len('"2006-01-02T15:04:05')
# To make an expression for timestamps in a row takes as long as to match 500 one by one; it is done
# once or twice in a second of the load test.
_MANY = 64


def ordinary(block: bytes) -> Sequence[Record] | None:
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
        if grammar.is_own(name):
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
    if lines.count(block) != count:
        return False
    beginning = block[: block.find(b":") + 1]
    return (
        count == 1
        or block.count(b"}\n" + beginning) == count - 1
        or len(_borders(block)) == count - 1
    )


def _is_shallow(block: bytes) -> bool:
    """Tell whether no line has more brackets that open than Go goes deep."""
    return _brackets(block) <= grammar.MAX_DEPTH or all(
        _brackets(line) <= grammar.MAX_DEPTH for line in block.split(b"\n")
    )


def _brackets(text: bytes) -> int:
    return text.count(b"[") + text.count(b"{")


def _are_timestamps(texts: list[Raw]) -> bool:
    """Tell whether all texts are timestamps; of many, most are of the same second or two.

    Those are matched in one go, which takes a third of the time that one by one takes.
    """
    if len(texts) < _MANY or not (_is_timestamp(texts[0]) and _is_timestamp(texts[-1])):
        return all(map(_is_timestamp, texts))
    seconds = frozenset(bytes(text)[:_SECOND_BYTES] for text in (texts[0], texts[-1]))
    return bool(_in_seconds(seconds).fullmatch(b"".join(texts))) or all(map(_is_timestamp, texts))


@lru_cache(maxsize=64)
def _in_seconds(seconds: frozenset[bytes]) -> re.Pattern[bytes]:
    """Make the expression for timestamps of given seconds, one behind the other."""
    rest = grammar.FRACTION_AND_OFFSET.encode()
    return re.compile(b'(?:(?:%b)%b")*' % (b"|".join(map(re.escape, seconds)), rest))
