"""The primitives of gob: integers, strings and messages, within bounds.

A gob stream is a sequence of messages, each a length and that many bytes. The format is that of
Go's package encoding/gob, section "Encoding Details".
"""

from __future__ import annotations

MAX_MESSAGE_BYTES = 1 << 20
MAX_NAME_BYTES = 1024


class ProtocolError(Exception):
    """The peer sent bytes that gob or net/rpc does not allow; the message says which."""


def uint(value: int) -> bytes:
    """Encode an unsigned integer: itself below 128, else its negated width and its bytes."""
    if value < 0x80:
        return bytes((value,))
    width = uint_width(value)
    return bytes((0x100 - width,)) + value.to_bytes(width, "big")


def uint_width(value: int) -> int:
    """Return the number of bytes of `value` without leading zeros."""
    return (value.bit_length() + 7) // 8


def integer(value: int) -> bytes:
    """Encode a signed integer: if the lowest bit is set, the others are complemented."""
    return uint(~value << 1 | 1 if value < 0 else value << 1)


def string(value: bytes) -> bytes:
    """Encode a string or a slice of bytes: a count and the bytes."""
    return uint(len(value)) + value


def struct(*members: bytes) -> bytes:
    """Encode a struct from its encoded members; an empty one is a zero value and omitted."""
    encoded, distance = b"", 1
    for member in members:
        if member:
            encoded += uint(distance) + member
            distance = 1
        else:
            distance += 1
    return encoded + b"\0"


def message(payload: bytes) -> bytes:
    """Encode a message: the length and the payload."""
    return uint(len(payload)) + payload


def message_span(data: bytes, position: int) -> tuple[int, int] | None:
    """Return the start and end of the payload of the message at `position`, complete or not.

    Returns None if the length itself is incomplete.

    Raises:
        ProtocolError: the message is empty or longer than `MAX_MESSAGE_BYTES`.
    """
    if position >= len(data):
        return None
    length, start = data[position], position + 1
    if length >= 0x80:
        start += _checked_width(length)
        if start > len(data):
            return None
        length = int.from_bytes(data[position + 1 : start], "big")
    if not 0 < length <= MAX_MESSAGE_BYTES:
        raise ProtocolError(f"a message of {length} bytes; allowed are 1 to {MAX_MESSAGE_BYTES}")
    return start, start + length


class Reader:
    """Reads the values of one message after the other."""

    __slots__ = ("_data", "position")

    def __init__(self) -> None:
        self._data = b""
        self.position = 0

    def load(self, payload: bytes) -> None:
        """Start another message."""
        self._data = payload
        self.position = 0

    @property
    def exhausted(self) -> bool:
        """Whether the message has been read to its end."""
        return self.position == len(self._data)

    def uint(self) -> int:
        """Read an unsigned integer of at most 64 bits; like Go, allow leading zeros."""
        start = self.position + 1
        if start > len(self._data):
            raise ProtocolError("a message ends inside a value")
        first = self._data[start - 1]
        if first < 0x80:
            self.position = start
            return first
        return int.from_bytes(self._take(start, _checked_width(first)), "big")

    def integer(self) -> int:
        """Read a signed integer."""
        value = self.uint()
        return ~(value >> 1) if value & 1 else value >> 1

    def string(self) -> bytes:
        """Read a counted string or slice of bytes."""
        count = self.uint()
        return self._take(self.position, count)

    def name(self) -> bytes:
        """Read a string of at most `MAX_NAME_BYTES`."""
        count = self.uint()
        if count > MAX_NAME_BYTES:
            raise ProtocolError(f"a name of {count} bytes; allowed are {MAX_NAME_BYTES}")
        return self._take(self.position, count)

    def skip_string(self) -> None:
        """Skip a string without copying it."""
        count = self.uint()
        if count > len(self._data) - self.position:
            raise ProtocolError("a message ends inside a value")
        self.position += count

    def _take(self, start: int, count: int) -> bytes:
        end = start + count
        if end > len(self._data):
            raise ProtocolError("a message ends inside a value")
        self.position = end
        return self._data[start:end]


def _checked_width(first: int) -> int:
    width = 0x100 - first
    if width > 8:
        raise ProtocolError(f"an integer of {width} bytes; gob's have at most 8")
    return width
