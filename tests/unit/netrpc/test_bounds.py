"""The bounds on a hostile peer, and the rules of gob that invalid streams break."""

from __future__ import annotations

import tracemalloc

import pytest

from goloagent.netrpc import Client, ProtocolError, headers
from goloagent.netrpc.gob import MAX_MESSAGE_BYTES, integer, message, string, struct, uint
from goloagent.netrpc.value_skipper import MAX_DEPTH
from goloagent.netrpc.wiretypes import (
    INT,
    INTERFACE,
    MAX_DEFINITION_BYTES,
    MAX_FIELDS,
    MAX_TYPES,
    STRING,
    UINT,
    Field,
    struct_definition,
)

HEADER = headers.DEFINE_RESPONSE + headers.response(b"Server.Run", 1, b"")
SHORT_HEADER = headers.response(b"Server.Run", 2, b"")
LEAF = integer(70)

# The positions of the kinds of types in wireType.
ARRAY, SLICE, STRUCT, MAP, GOB, BINARY, TEXT = range(7)


def definition(kind: int, type_id: int, *members: bytes, name: bytes = b"T") -> bytes:
    """Encode the definition of a type: the common part, then the members of its kind."""
    common = struct(string(name), integer(type_id))
    before = [b""] * kind
    return message(integer(-type_id) + struct(*before, struct(common, *members)))


def value(type_id: int, encoded: bytes) -> bytes:
    """Encode a message with a value."""
    return message(integer(type_id) + encoded)


def receive(*messages: bytes, replies: int = 1) -> int:
    """Feed a client with outstanding calls 0 to 4; return the number of successes."""
    client = Client()
    client.calls("Server.Run", 5)
    return client.receive(b"".join(messages)).ok


def test_a_gigabyte_is_refused_by_its_length() -> None:
    """A message of 1 GiB is rejected by its length."""
    with pytest.raises(ProtocolError, match="1073741824 bytes"):
        receive(uint(1 << 30))


@pytest.mark.parametrize("step", [100, 4096])
def test_at_most_a_mebibyte_is_buffered(step: int) -> None:
    """An incomplete message of the maximum size takes little more than 1 MiB, in any chunks."""
    client = Client()
    client.calls("Server.Run", 5)
    client.receive(HEADER)
    body = value(STRING, b"\0" + string(bytes(MAX_MESSAGE_BYTES - 6)))
    assert body.startswith(uint(MAX_MESSAGE_BYTES))
    tracemalloc.start()
    try:
        for start in range(0, len(body) - 1, step):
            client.receive(body[start : min(start + step, len(body) - 1)])
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # A bytearray grows by an eighth in advance.
    assert MAX_MESSAGE_BYTES * 0.9 < held < MAX_MESSAGE_BYTES * 1.2
    assert client.receive(body[-1:]).ok == 1


def test_an_endless_value_is_not_buffered() -> None:
    """A value that new types split into messages without end stops at the maximum of types."""
    client = Client()
    client.calls("Server.Run", 5)
    client.receive(HEADER + definition(SLICE, 70, integer(INTERFACE)))
    client.receive(message(integer(70) + b"\0" + uint(1 << 40) + b"\1T" + _late(100)))

    def piece(type_id: int) -> bytes:
        """Return the next value, ints, and a value of another new type."""
        whole = string(b"int") + integer(INT) + b"\2\0\2"
        return message(integer(type_id - 1) + b"\1\0" + whole * 2000 + b"\1T" + _late(type_id))

    tracemalloc.start()
    try:
        for type_id in range(101, 121):
            client.receive(piece(type_id))
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < len(piece(101)) * 5
    with pytest.raises(ProtocolError, match=f"more than {MAX_TYPES} types"):
        client.receive(b"".join(_short_piece(n) for n in range(121, 122 + MAX_TYPES)))


def _short_piece(type_id: int) -> bytes:
    return message(integer(type_id - 1) + b"\1\0" + b"\1T" + _late(type_id))


def _late(type_id: int) -> bytes:
    return integer(-type_id) + struct(b"", b"", struct(struct(b"", integer(type_id))))


@pytest.mark.parametrize(("depth", "allowed"), [(MAX_DEPTH - 1, True), (MAX_DEPTH + 1, False)])
def test_depth_is_bounded(depth: int, allowed: bool) -> None:
    """A value of a recursive type may be nested up to the maximum."""
    chain = struct_definition(70, b"Chain", (Field(b"Next", 70),))
    body = value(70, b"\1" * depth + b"\0" * (depth + 1))
    if allowed:
        assert receive(HEADER, chain, body) == 1
    else:
        with pytest.raises(ProtocolError, match="deeper"):
            receive(HEADER, chain, body)


def test_types_are_bounded_in_number() -> None:
    """One connection may define the maximum number of types and no more."""
    types = [struct_definition(100 + n, b"", ()) for n in range(MAX_TYPES)]
    # The header's own type is one of them.
    assert receive(HEADER, *types[:-1], value(100, b"\0")) == 1
    with pytest.raises(ProtocolError, match=f"more than {MAX_TYPES} types"):
        receive(HEADER, *types)


def test_fields_are_bounded_in_number() -> None:
    """A struct type may have the maximum number of fields and no more."""
    fields = tuple(Field(b"F", INT) for _ in range(MAX_FIELDS + 1))
    assert receive(HEADER, struct_definition(70, b"", fields[1:]), value(70, b"\0")) == 1
    with pytest.raises(ProtocolError, match=f"{MAX_FIELDS + 1} fields"):
        receive(HEADER, struct_definition(70, b"", fields))


def test_names_are_bounded() -> None:
    """Names of types, fields, methods and interface values have at most 1,024 bytes."""
    assert receive(HEADER, struct_definition(70, b"n" * 1024, ()), value(70, b"\0")) == 1
    long = b"n" * 1025
    with pytest.raises(ProtocolError, match="a name of 1025 bytes"):
        receive(HEADER, struct_definition(70, long, ()))
    with pytest.raises(ProtocolError, match="a name of 1025 bytes"):
        receive(HEADER, struct_definition(70, b"", (Field(long, INT),)))
    with pytest.raises(ProtocolError, match="a name of 1025 bytes"):
        receive(headers.DEFINE_RESPONSE, headers.response(long, 1, b""))
    with pytest.raises(ProtocolError, match="a name of 1025 bytes"):
        receive(HEADER, value(INTERFACE, b"\0" + string(long)))


def test_definitions_are_bounded_together() -> None:
    """The definitions of a connection have a maximum size together."""
    fields = tuple(Field(b"n" * 1000, INT) for _ in range(100))
    types = [
        struct_definition(100 + n, b"", fields) for n in range(MAX_DEFINITION_BYTES // 100_000 + 1)
    ]
    with pytest.raises(ProtocolError, match="bytes of type definitions"):
        receive(HEADER, *types)


@pytest.mark.parametrize("kind", [GOB, BINARY, TEXT])
def test_types_that_encode_themselves(kind: int) -> None:
    """A GobEncoder, BinaryMarshaler or TextMarshaler is skipped as counted bytes."""
    body = value(70, b"\0" + string(b"\xff" * 300))
    assert receive(HEADER, definition(kind, 70), body, SHORT_HEADER, body) == 2


def test_types_may_be_defined_late() -> None:
    """A struct's definition may name types that are defined after it, before their first value."""
    outer = struct_definition(70, b"Outer", (Field(b"Inner", 71), Field(b"Unused", 99)))
    inner = struct_definition(71, b"Inner", (Field(b"N", INT),))
    assert receive(HEADER, outer, inner, value(70, b"\1\1\2\0\0")) == 1


def test_header_members_are_found_by_name() -> None:
    """A Response may have its members in another order, and others between."""
    fields = (
        Field(b"Extra", 71),
        Field(b"Seq", UINT),
        Field(b"More", INTERFACE),
        Field(b"Error", STRING),
        Field(b"ServiceMethod", STRING),
    )
    define = struct_definition(70, b"Other", fields) + definition(MAP, 71, integer(4), integer(6))
    extra = uint(2) + b"\2\1x" + b"\4\1y"
    more = string(b"int") + integer(INT) + b"\2\0\x22"
    good = value(70, struct(extra, uint(1), more, b"", string(b"M")))
    bad = value(70, struct(b"", uint(2), b"", string(b"no"), b""))
    body = value(INT, b"\0\2")
    client = Client()
    client.calls("M", 3)
    replies = client.receive(define + good + body + bad + body)
    assert (replies.ok, replies.errors) == (1, ("no",))


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ([b"\0"], "a message of 0 bytes"),
        ([HEADER, HEADER], "reserved or taken"),
        ([value(70, b"\0")], "a header that is not a struct"),
        ([definition(SLICE, 70, integer(INT)), value(70, b"\0\0")], "a header that is not"),
        ([value(INT, b"\0\0")], "a header that is not a struct"),
        ([struct_definition(70, b"", (Field(b"Seq", INT),)), value(70, b"\0")], "whose Seq has"),
        ([struct_definition(70, b"", (Field(b"seq", UINT),)), value(70, b"\0")], "without any"),
        ([struct_definition(63, b"", ())], "reserved"),
        ([struct_definition(70, b"", (Field(b"", INT),))], "without a name"),
        ([message(integer(-70) + b"\0")], "0 kinds"),
        ([message(integer(-70) + b"\1\0\1\0\0")], "2 kinds"),
        ([message(integer(-70) + b"\x08")], "field 7 of a struct with 7"),
        ([message(integer(-70) + b"\5\1")], "ends inside"),
        ([message(definition(GOB, 70)[1:] + b"\0")], "goes on after a type definition"),
        ([HEADER, value(70, b"\0\0")], "type 70, which is not defined"),
        ([HEADER, value(16, b"\0\0")], "type 16, which is not defined"),
        ([HEADER, value(INT, b"\0\2\2")], "goes on after its value"),
        ([HEADER, value(INT, b"\1\2")], "no zero before"),
        ([HEADER, value(INT, b"\0")], "ends inside"),
        ([HEADER, value(STRING, b"\0\5abcd")], "ends inside"),
        ([HEADER, definition(GOB, 70), value(70, b"\0\2a")], "ends inside"),
        ([HEADER, definition(SLICE, 70, integer(INT)), value(70, b"\0\3\2\2")], "ends inside"),
        ([HEADER, definition(SLICE, 70, integer(INT)), value(70, b"\0" + uint(2**64 - 1))], "ends"),
        ([HEADER, definition(ARRAY, 70, integer(INT), integer(3)), value(70, b"\0\2\2\2")], "of 3"),
        ([HEADER, definition(MAP, 70, integer(INT), integer(INT)), value(70, b"\0\1\2")], "ends"),
        (
            [HEADER, struct_definition(70, b"", (Field(b"N", INT),)), value(70, b"\2\2\0")],
            "field 1",
        ),
        ([HEADER, struct_definition(70, b"", (Field(b"N", INT),)), value(70, b"\1\2")], "ends"),
        ([HEADER, value(INTERFACE, b"\0\1T" + integer(71) + b"\1\0")], "type 71, which is not"),
        ([HEADER, value(INTERFACE, b"\0\1T" + integer(INT) + b"\2\1\2")], "no zero before"),
    ],
)
def test_invalid_streams(broken: list[bytes], reason: str) -> None:
    """The error names the rule of gob that the stream breaks."""
    with pytest.raises(ProtocolError, match=reason):
        receive(*broken)


def test_bodies_that_define_types_are_no_repetitions() -> None:
    """A body with a definition in it is an error the second time, although its bytes are equal."""
    outer = struct_definition(70, b"Outer", (Field(b"Any", INTERFACE),))
    nested = b"\1T" + _late(80)
    piece = b"\1" + nested
    # An interface holding an Outer whose own interface brings type 80 in the same message.
    inside = uint(len(piece)) + piece + uint(5) + integer(80) + b"\1\0\0"
    body = value(INTERFACE, b"\0\1O" + integer(70) + inside)
    client = Client()
    client.calls("M", 300)
    pairs = [headers.response(b"M", number, b"") + body for number in (200, 201)]
    assert client.receive(headers.DEFINE_RESPONSE + outer + pairs[0]).ok == 1
    with pytest.raises(ProtocolError, match="reserved or taken"):
        client.receive(pairs[1])
