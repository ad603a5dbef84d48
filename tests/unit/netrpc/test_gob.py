"""Numbers, strings, messages and type definitions, compared with Go's documentation."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goloagent.netrpc import gob
from goloagent.netrpc.gob import ProtocolError, Reader
from goloagent.netrpc.wiretypes import INT, Field, Struct, Types, struct_definition


def reader(payload: bytes) -> Reader:
    """Return a reader at the start of a message."""
    source = Reader()
    source.load(payload)
    return source


@pytest.mark.parametrize(
    ("value", "digits"),
    [
        (0, "00"),
        (7, "07"),
        (127, "7f"),
        (128, "ff80"),
        (256, "fe0100"),
        (2**64 - 1, "f8" + 8 * "ff"),
    ],
)
def test_unsigned_integers(value: int, digits: str) -> None:
    """Unsigned integers have the bytes of Go's documentation."""
    assert gob.uint(value).hex() == digits
    assert reader(bytes.fromhex(digits)).uint() == value


@pytest.mark.parametrize(
    ("value", "digits"), [(0, "00"), (22, "2c"), (-1, "01"), (-65, "ff81"), (-129, "fe0101")]
)
def test_signed_integers(value: int, digits: str) -> None:
    """Signed integers have the bytes of Go's documentation."""
    assert gob.integer(value).hex() == digits
    assert reader(bytes.fromhex(digits)).integer() == value


@given(st.integers(-(2**63), 2**63 - 1), st.integers(0, 2**64 - 1), st.binary(max_size=300))
def test_encoded_values_decode(signed: int, unsigned: int, text: bytes) -> None:
    """Every number of 64 bits and every string decodes to itself."""
    source = reader(gob.integer(signed) + gob.uint(unsigned) + gob.string(text))
    assert (source.integer(), source.uint(), source.string()) == (signed, unsigned, text)
    assert source.exhausted


@pytest.mark.parametrize("digits", ["", "ff", "fe01", "f801", "80" + "00" * 128, "f7" + "00" * 9])
def test_invalid_integers(digits: str) -> None:
    """A number that ends early or has more than 64 bits is a protocol error."""
    with pytest.raises(ProtocolError):
        reader(bytes.fromhex(digits)).uint()


def test_the_documented_definition_of_a_struct() -> None:
    """The struct type Point has the bytes of Go's documentation."""
    documented = "1fff81030101 05506f696e74 01ff8200 01 02 01 0158 01 0400 01 0159 01 0400 00 00"
    fields = (Field(b"X", INT), Field(b"Y", INT))
    assert struct_definition(65, b"Point", fields) == bytes.fromhex(documented)
    source, types = reader(bytes.fromhex(documented)[1:]), Types()
    assert source.integer() == -65
    types.define(65, source)
    assert types.get(65) == Struct(fields)
    assert source.exhausted


@pytest.mark.parametrize(
    ("length", "allowed"), [(0, False), (1, True), (1 << 20, True), ((1 << 20) + 1, False)]
)
def test_lengths_of_messages(length: int, allowed: bool) -> None:
    """A message has one byte to 1 MiB; another length is rejected at once."""
    prefix = gob.uint(length)
    if allowed:
        assert gob.message_span(prefix, 0) == (len(prefix), len(prefix) + length)
    else:
        with pytest.raises(ProtocolError, match=f"of {length} bytes"):
            gob.message_span(prefix, 0)
