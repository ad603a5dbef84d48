"""What net/rpc writes before each body: the request and the response header, as bytes.

In Go: `type Request struct { ServiceMethod string; Seq uint64 }`; a Response has `Error string`
too. The type ids are ours to choose: they are those that Go gave out when the test vectors were
recorded. This module refuses to read: that is `inbound`.
"""

from __future__ import annotations

from functools import lru_cache

from goloagent.netrpc.gob import integer, message, string, struct, uint, uint_width
from goloagent.netrpc.wiretypes import STRING, UINT, Field, struct_definition

METHOD, SEQUENCE, ERROR = b"ServiceMethod", b"Seq", b"Error"
REQUEST = (Field(METHOD, STRING), Field(SEQUENCE, UINT))
RESPONSE = (*REQUEST, Field(ERROR, STRING))

_REQUEST_ID, _EMPTY_ID, _RESPONSE_ID, _INVALID_ID = 65, 66, 67, 68

DEFINE_REQUEST = struct_definition(_REQUEST_ID, b"Request", REQUEST)
DEFINE_RESPONSE = struct_definition(_RESPONSE_ID, b"Response", RESPONSE)

# The body of a call and of a reply without values, and the one that Go sends beside an error.
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

    The fast path beside `request`: calls whose numbers are of the same width differ in nothing but
    the digits, so one join puts digits between constant bytes. It saves nine tenths of the time.
    """
    encoded = []
    while sequences:
        width = uint_width(sequences[0])
        alike = sequences[: (1 << 8 * width) - sequences[0]]
        if sequences[0] < 0x80:
            # A number below 128 is its own width, and zero is left out: one by one.
            alike = sequences[:1]
            encoded.append(request(method, alike[0]) + EMPTY)
        else:
            before, between, after = _around_digits(method, width)
            digits = [sequence.to_bytes(width, "big") for sequence in alike]
            encoded += (before, between.join(digits), after)
        sequences = sequences[len(alike) :]
    return b"".join(encoded)


@lru_cache(maxsize=64)
def _around_digits(method: bytes, width: int) -> tuple[bytes, bytes, bytes]:
    """Give the bytes before, between and after the digits of calls in a row."""
    # The smallest number that is this wide and above 127.
    sequence = max(0x80, 1 << 8 * (width - 1))
    header = request(method, sequence)
    after = b"\0" + EMPTY
    before = header[: -1 - width]
    return before, after + before, after


def _text(value: bytes) -> bytes:
    return string(value) if value else b""


def _number(value: int) -> bytes:
    return uint(value) if value else b""
