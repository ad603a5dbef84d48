"""The types of a gob connection, which the peer defines and numbers.

The peer sends the definition of each type before the first value that needs it. `Types` stores
them, within bounds; a wire type knows the parts of its values.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Callable, Protocol

from goloagent.netrpc.gob import ProtocolError, Reader, integer, message, string, struct, uint

BOOL, INT, UINT, FLOAT, BYTES, STRING, COMPLEX, INTERFACE = range(1, 9)
FIRST_USER_ID = 64

MAX_TYPES = 1000
MAX_FIELDS = 1000
# In total on one connection, which bounds the memory of types of any shape.
MAX_DEFINITION_BYTES = 256 * 1024


class WireType(Protocol):
    """A type that a peer has defined."""

    def parts(self, source: Reader) -> Iterator[int]:
        """Read a value's own bytes; yield the type of each part when the source is at it."""


@dataclass(frozen=True)
class Field:
    """A member of a struct: its name and the id of its type."""

    name: bytes
    type_id: int


@dataclass(frozen=True)
class Struct:
    """Fields, each preceded by its distance from the one before; a distance of zero ends them."""

    fields: tuple[Field, ...]

    def present(self, source: Reader) -> Iterator[Field]:
        """Yield each field of the value, when the source is at it."""
        index = -1
        while distance := source.uint():
            index += distance
            if index >= len(self.fields):
                raise ProtocolError(f"field {index} of a struct with {len(self.fields)}")
            yield self.fields[index]

    def parts(self, source: Reader) -> Iterator[int]:
        """Yield the types of the fields of the value."""
        return (field.type_id for field in self.present(source))


@dataclass(frozen=True)
class Sequence:
    """A slice, or an array if `length` is given: a count and the elements."""

    element: int
    length: int | None = None

    def parts(self, source: Reader) -> Iterator[int]:
        """Yield the type of the elements once for each."""
        count = source.uint()
        if self.length is not None and count != self.length:
            raise ProtocolError(f"{count} elements in an array of {self.length}")
        for _ in range(count):
            yield self.element


@dataclass(frozen=True)
class Map:
    """A map: a count, and alternating keys and elements."""

    key: int
    element: int

    def parts(self, source: Reader) -> Iterator[int]:
        """Yield the types of key and element once for each pair."""
        for _ in range(source.uint()):
            yield self.key
            yield self.element


@dataclass(frozen=True)
class Opaque:
    """A type with its own encoding (GobEncoder, BinaryMarshaler, TextMarshaler): counted bytes."""

    def parts(self, source: Reader) -> Iterator[int]:
        """Skip the bytes."""
        source.skip_string()
        return iter(())


class Types:
    """The types that one peer has defined on one connection."""

    def __init__(self) -> None:
        self._types: dict[int, WireType] = {}
        self._definition_bytes = 0

    def define(self, type_id: int, source: Reader) -> None:
        """Read the definition of `type_id` from `source`.

        Raises:
            ProtocolError: the id is reserved or taken, or the definition is invalid or too large.
        """
        if type_id < FIRST_USER_ID or type_id in self._types:
            raise ProtocolError(f"type {type_id} is defined, but its id is reserved or taken")
        if len(self._types) == MAX_TYPES:
            raise ProtocolError(f"more than {MAX_TYPES} types on one connection")
        start = source.position
        self._types[type_id] = _read_definition(source)
        self._definition_bytes += source.position - start
        if self._definition_bytes > MAX_DEFINITION_BYTES:
            raise ProtocolError(f"more than {MAX_DEFINITION_BYTES} bytes of type definitions")

    def __len__(self) -> int:
        return len(self._types)

    def get(self, type_id: int) -> WireType | None:
        """Return the definition of `type_id`; None for predefined and undefined types."""
        return self._types.get(type_id)


def struct_definition(type_id: int, name: bytes, fields: tuple[Field, ...]) -> bytes:
    """Encode the message that defines a struct type; `name` may be empty, as in Go."""
    common = struct(string(name) if name else b"", integer(type_id))
    members = b"".join(struct(string(field.name), integer(field.type_id)) for field in fields)
    definition = struct(common, uint(len(fields)) + members if fields else b"")
    return message(integer(-type_id) + struct(b"", b"", definition))


# A definition is itself a gob: a value of the predefined struct type wireType. The names are those
# of Go's documentation.

_Read = Callable[[Reader], Any]


def _struct(**members: _Read) -> Callable[[Reader], dict[str, Any]]:
    layout = Struct(tuple(Field(name.encode(), 0) for name in members))

    def read(source: Reader) -> dict[str, Any]:
        return {
            field.name.decode(): members[field.name.decode()](source)
            for field in layout.present(source)
        }

    return read


def _read_fields(source: Reader) -> tuple[Field, ...]:
    count = source.uint()
    if count > MAX_FIELDS:
        raise ProtocolError(f"a struct type with {count} fields; allowed are {MAX_FIELDS}")
    return tuple(_read_field(source) for _ in range(count))


def _read_field(source: Reader) -> Field:
    member = _FIELD(source)
    if not member.get("Name"):
        raise ProtocolError("a struct type has a field without a name")
    return Field(member["Name"], member.get("Id", 0))


_COMMON = _struct(Name=Reader.name, Id=Reader.integer)
_FIELD = _struct(Name=Reader.name, Id=Reader.integer)
_OPAQUE = _struct(CommonType=_COMMON)
_WIRE_TYPE = _struct(
    ArrayT=_struct(CommonType=_COMMON, Elem=Reader.integer, Len=Reader.integer),
    SliceT=_struct(CommonType=_COMMON, Elem=Reader.integer),
    StructT=_struct(CommonType=_COMMON, Field=_read_fields),
    MapT=_struct(CommonType=_COMMON, Key=Reader.integer, Elem=Reader.integer),
    GobEncoderT=_OPAQUE,
    BinaryMarshalerT=_OPAQUE,
    TextMarshalerT=_OPAQUE,
)
_KINDS: dict[str, Callable[[dict[str, Any]], WireType]] = {
    "ArrayT": lambda value: Sequence(value.get("Elem", 0), value.get("Len", 0)),
    "SliceT": lambda value: Sequence(value.get("Elem", 0)),
    "StructT": lambda value: Struct(value.get("Field", ())),
    "MapT": lambda value: Map(value.get("Key", 0), value.get("Elem", 0)),
    "GobEncoderT": lambda _: Opaque(),
    "BinaryMarshalerT": lambda _: Opaque(),
    "TextMarshalerT": lambda _: Opaque(),
}


def _read_definition(source: Reader) -> WireType:
    definition = _WIRE_TYPE(source)
    if len(definition) != 1:
        raise ProtocolError(f"a type definition of {len(definition)} kinds; there must be one")
    [(kind, value)] = definition.items()
    return _KINDS[kind](value)
