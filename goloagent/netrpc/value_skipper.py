"""Skips gob values of any type, checking that they are well-formed, without building them.

A reply of net/rpc may be a value of any type. The agent needs none of them, but must parse each to
find its end. An explicit stack replaces recursion.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator

from goloagent.netrpc.gob import ProtocolError, Reader
from goloagent.netrpc.wiretypes import (
    BOOL,
    BYTES,
    COMPLEX,
    FLOAT,
    INT,
    INTERFACE,
    STRING,
    UINT,
    Struct,
    Types,
)

MAX_DEPTH = 1000

_UINTS_IN = {BOOL: 1, INT: 1, UINT: 1, FLOAT: 1, COMPLEX: 2}


class ValueSkipper:
    """Skips the values of one peer, whose types it learns from their definitions."""

    def __init__(self, source: Reader) -> None:
        self._source = source
        self._types = Types()

    @property
    def types_defined(self) -> int:
        """The number of types that the peer has defined."""
        return len(self._types)

    def begin_struct(self) -> Generator[None, None, Struct]:
        """Move to the first field of the next value, which must be a struct."""
        type_id = yield from self._type_of_next()
        struct = self._types.get(type_id)
        if not isinstance(struct, Struct):
            raise ProtocolError("a header that is not a struct")
        return struct

    def end(self) -> None:
        """Check that a value ends with its message."""
        if not self._source.exhausted:
            raise ProtocolError("a message goes on after its value")

    def skip_next(self) -> Iterator[None]:
        """Skip the next value and the definitions before it."""
        type_id = yield from self._type_of_next()
        yield from self._walk(self._top_level(type_id))
        self.end()

    def skip(self, type_id: int) -> Iterator[None]:
        """Skip one value of a known type, such as a struct's field."""
        yield from self._walk(iter((type_id,)))

    def _walk(self, parts: Iterator[int | None]) -> Iterator[None]:
        around: list[Iterator[int | None]] = []
        while True:
            for type_id in parts:
                if type_id is None:
                    yield
                elif not self._skip_basic(type_id):
                    if len(around) == MAX_DEPTH:
                        raise ProtocolError(f"a value nested deeper than {MAX_DEPTH}")
                    around.append(parts)
                    parts = self._parts(type_id)
                    break
            else:
                if not around:
                    return
                parts = around.pop()

    def _skip_basic(self, type_id: int) -> bool:
        if type_id in (STRING, BYTES):
            self._source.skip_string()
            return True
        count = _UINTS_IN.get(type_id, 0)
        for _ in range(count):
            self._source.uint()
        return count > 0

    def _parts(self, type_id: int) -> Iterator[int | None]:
        if type_id == INTERFACE:
            return self._parts_of_interface()
        wire_type = self._types.get(type_id)
        if wire_type is None:
            raise ProtocolError(f"a value of type {type_id}, which is not defined")
        return wire_type.parts(self._source)

    def _parts_of_interface(self) -> Iterator[int | None]:
        """Read a type's registered name (empty: nil) and id, then a top-level value."""
        if not self._source.name():
            return
        type_id = yield from self._type_of_next(in_interface=True)
        # The length of the value, or of its first piece if definitions split it; not needed.
        self._source.uint()
        yield from self._top_level(type_id)

    def _top_level(self, type_id: int) -> Iterator[int | None]:
        """Yield the parts of a top-level value; all but structs follow a zero."""
        struct = self._types.get(type_id)
        if isinstance(struct, Struct):
            yield from struct.parts(self._source)
            return
        if self._source.uint() != 0:
            raise ProtocolError("no zero before a value that is not a struct")
        yield type_id

    def _type_of_next(self, *, in_interface: bool = False) -> Generator[None, None, int]:
        """Read type definitions, up to the id of the next value's type."""
        while True:
            if self._source.exhausted:
                yield
            type_id = self._source.integer()
            if type_id >= 0:
                return type_id
            self._types.define(-type_id, self._source)
            if not self._source.exhausted:
                if not in_interface:
                    raise ProtocolError("a message goes on after a type definition")
                # An interface within an interface: the length of its next piece follows.
                self._source.uint()
