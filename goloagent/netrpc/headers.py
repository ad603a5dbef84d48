"""The headers of net/rpc's requests and responses, which precede each body.

In Go: `type Request struct { ServiceMethod string; Seq uint64 }`; a Response also has `Error
string`. The type ids are arbitrary: those that Go chose when the test vectors were recorded.
"""

from __future__ import annotations

from functools import lru_cache

from goloagent.netrpc.gob import integer, message, string, struct, uint
from goloagent.netrpc.wiretypes import STRING, UINT, Field, struct_definition

METHOD, SEQUENCE, ERROR = b"ServiceMethod", b"Seq", b"Error"
REQUEST = (Field(METHOD, STRING), Field(SEQUENCE, UINT))
RESPONSE = (*REQUEST, Field(ERROR, STRING))

MAX_ERROR_BYTES = 1024  # a longer error is cut

_REQUEST_ID, _EMPTY_ID, _RESPONSE_ID, _INVALID_ID = 65, 66, 67, 68

DEFINE_REQUEST = struct_definition(_REQUEST_ID, b"Request", REQUEST)
DEFINE_RESPONSE = struct_definition(_RESPONSE_ID, b"Response", RESPONSE)

# The bodies of a call and of a reply without values, and the one that Go sends with an error.
DEFINE_EMPTY = struct_definition(_EMPTY_ID, b"NullArg", ())
DEFINE_INVALID = struct_definition(_INVALID_ID, b"", ())
EMPTY = message(integer(_EMPTY_ID) + struct())
INVALID = message(integer(_INVALID_ID) + struct())


def request(method: bytes, sequence: int) -> bytes:
    """Encode the header of one call."""
    return message(integer(_REQUEST_ID) + struct(_text(method), _number(sequence)))


def response(method: bytes, sequence: int, error: bytes) -> bytes:
    """Encode the header of one reply; an empty `error` is success."""
    members = struct(_text(method), _number(sequence), _text(error))
    return message(integer(_RESPONSE_ID) + members)


def empty_calls(method: bytes, sequences: range) -> bytes:
    """Encode calls with an empty argument, one for each of `sequences`.

    Up to 256 consecutive calls differ in their last digit only, so their bytes are repeated and the
    last digits are set at once, which saves 95 % of the time for many calls.
    """
    encoded: list[bytes | bytearray] = []
    number, end = sequences.start, sequences.stop
    while number < end:
        if number < 0x80:
            # Without a width byte, and zero is omitted: one by one.
            encoded.append(request(method, number) + EMPTY)
            number += 1
            continue
        high, last = divmod(number, len(_DIGITS))
        count = min(end - number, len(_DIGITS) - last)
        before, after = _split_at_last_digit(method, high)
        call = before + _DIGITS[last : last + 1] + after
        if count == 1:
            encoded.append(call)
        else:
            calls = bytearray(call * count)
            calls[len(before) :: len(call)] = _DIGITS[last : last + count]
            encoded.append(calls)
        number += count
    return b"".join(encoded)


_DIGITS = bytes(range(256))


@lru_cache(maxsize=64)
def _split_at_last_digit(method: bytes, high: int) -> tuple[bytes, bytes]:
    """Return the bytes before and after the last digit of calls whose other digits are `high`."""
    # 0x80 is the first number with a width byte.
    header = request(method, high * len(_DIGITS) + 0x80)
    return header[:-2], header[-1:] + EMPTY


def _text(value: bytes) -> bytes:
    return string(value) if value else b""


def _number(value: int) -> bytes:
    return uint(value) if value else b""
