"""The rule for results: strict JSON with the documented names and types, decoded block by block.

A result is one JSON object (RFC 8259, in UTF-8) on a line. Its own members are those of `Record`:
an integer has 64 bits, null and a missing member are zero, and only the timestamp is required.
Other members are allowed. Values nest at most `MAX_DEPTH` levels deep.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Sequence
from itertools import accumulate

from msgspec import DecodeError, Raw
from msgspec.json import Decoder

from goloagent.concurrency.steps import Steps
from goloagent.core.record import Record
from goloagent.results.line_splitter import count_newlines
from goloagent.results.timestamps import are_timestamps

MAX_DEPTH = 500
"""Well below the depth at which msgspec fails, which depends on the version of Python."""

NULL = Raw(b"null")


class _PlainRecord(Record, forbid_unknown_fields=True, gc=False):
    """The fast path: no error, and no other members, so nothing that msgspec skips unchecked."""

    error: None = None


class _FullRecord(Record, gc=False):
    """Any result; its error is not decoded."""

    error: Raw = NULL


_UNDECODABLE = (DecodeError, ValueError, RecursionError)
_decode_plain = Decoder(_PlainRecord).decode_lines
_decode_full = Decoder(_FullRecord).decode_lines
_borders = re.compile(rb"\}[ \t\r]*\n[ \t\r]*\{").findall

_drop_strings = re.compile(rb'"(?:[^"\\]|\\.)*"').sub
_BRACKETS = b"[{]}"
_NOT_BRACKETS = bytes(set(range(256)) - set(_BRACKETS))
_LEVELS = bytes.maketrans(_BRACKETS, b"\x01\x01\xff\xff")  # as signed bytes, 1 and -1
_STEP_BYTES = 64 * 1024

_UNIT = rb"u[dD][%b][0-9a-fA-F]{2}"
_escapes = re.compile(
    rb"\\(?:%b\\%b|(%b)|.)" % (_UNIT % b"89abAB", _UNIT % b"c-fC-F", _UNIT % b"89a-fA-F")
)


def decode_lines(block: bytes, is_shallow: bool = False) -> Sequence[Record] | None:
    """Return the record of each line of a block, or None if a line is not, or may not be, a result.

    It may not be one if it has a surrogate that is not part of a pair, or more than `MAX_DEPTH`
    brackets: `odd_line` prepares such a line.

    Args:
        block: whole lines, at least one, each ended by a newline.
        is_shallow: whether the depth is known to be allowed.
    """
    records: Sequence[Record]
    if not _is_utf8(block):  # msgspec does not check strings that it skips
        return None
    try:
        records = _decode_plain(block)
    except _UNDECODABLE:
        try:
            full = _decode_full(block)
        except _UNDECODABLE:
            return None
        if not is_shallow and not _has_few_brackets(block):
            return None
        for record in full:
            if record.error == NULL:
                record.error = None  # type: ignore[assignment]
        records = full
    if _is_one_a_line(len(records), block) and are_timestamps([one.timestamp for one in records]):
        return records
    return None


def odd_line(line: bytes) -> Steps[bytes | None]:
    """Return a line that `decode_lines` can decode, or None if the line is nested too deep.

    Surrogates that are not part of a pair, which JSON allows and msgspec does not, become U+FFFD.
    """
    if not _has_few_brackets(line):
        marks = array("b", _drop_strings(b"", line).translate(_LEVELS, _NOT_BRACKETS))
        level = 0
        for start in range(0, len(marks), _STEP_BYTES):
            levels = list(accumulate(marks[start : start + _STEP_BYTES], initial=level))
            if max(levels) > MAX_DEPTH:
                return None
            level = levels[-1]
            yield
    return _escapes.sub(lambda match: b"\\ufffd" if match[1] else match[0], line)


def _is_utf8(block: bytes) -> bool:
    """Return whether a block is UTF-8."""
    if not block.isascii():
        try:
            block.decode()
        except UnicodeDecodeError:
            return False
    return True


def _has_few_brackets(block: bytes) -> bool:
    """Return whether each line has so few brackets that it cannot be nested too deep."""
    return _brackets(block) <= MAX_DEPTH or all(
        _brackets(line) <= MAX_DEPTH for line in block.split(b"\n")
    )


def _brackets(text: bytes) -> int:
    return text.count(b"[") + text.count(b"{")


def _is_one_a_line(count: int, block: bytes) -> bool:
    """Return whether a number of objects, between which msgspec allows any space, are one a line.

    They are if there are as many lines, and an object ends where each line ends and begins where
    the next one begins: in JSON a closing brace, a newline and an opening brace occur only between
    two objects. The first attempt, equal beginnings without spaces, is much faster.
    """
    if count_newlines(block) != count:
        return False
    beginning = block[: block.find(b":") + 1]
    return (
        count == 1
        or block.count(b"}\n" + beginning) == count - 1
        or len(_borders(block)) == count - 1
    )
