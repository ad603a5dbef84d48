"""Encode the fields of protobuf messages: the number, the encoding and the value of each. Pure."""

from __future__ import annotations

import struct
from collections.abc import Iterable

# How a field is encoded.
_VARINT, _DOUBLE, _BYTES = 0, 1, 2


def message(field: int, body: bytes) -> bytes:
    """Return a field with a message."""
    return _varint(field << 3 | _BYTES) + prefixed(body)


def text(field: int, value: str) -> bytes:
    """Return a field with a string."""
    return message(field, value.encode())


def double(field: int, value: float) -> bytes:
    """Return a field with a double."""
    return _varint(field << 3 | _DOUBLE) + struct.pack("<d", value)


def number(field: int, value: int) -> bytes:
    """Return a field with a number of 0 or more."""
    return _varint(field << 3 | _VARINT) + _varint(value)


def signed(field: int, value: int) -> bytes:
    """Return a field with a signed number (sint32 or sint64)."""
    return number(field, _zigzag(value))


def packed_signed(field: int, values: Iterable[int]) -> bytes:
    """Return a packed field with signed numbers."""
    known = _SIGNED.get
    return message(field, b"".join(known(value) or _varint(_zigzag(value)) for value in values))


def prefixed(body: bytes) -> bytes:
    """Return a message after its length."""
    return _varint(len(body)) + body


def _zigzag(value: int) -> int:
    """Return a number that is small if the signed one is near zero."""
    return 2 * value if value >= 0 else -2 * value - 1


def _varint(value: int) -> bytes:
    """Encode a number in groups of seven bits, the lowest first."""
    groups = bytearray()
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    groups.append(value)
    return bytes(groups)


_SIGNED = {value: _varint(_zigzag(value)) for value in range(-512, 512)}
