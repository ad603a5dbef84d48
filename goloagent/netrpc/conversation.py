"""The two ends of a net/rpc connection: which calls were made, which were answered.

`Client` makes calls and counts replies; `Server` tells the calls that came and makes replies. Both
take and give whole chunks of bytes. They refuse to know sockets, threads and clocks, and what a
call does. Neither may be used by two threads at once.
"""

from __future__ import annotations

from typing import NamedTuple

from goloagent.netrpc import headers
from goloagent.netrpc.decoder import MessageDecoder
from goloagent.netrpc.gob import MAX_NAME_BYTES

# Of the text of an error; what is longer is cut.
MAX_ERROR_BYTES = 1024


class Replies(NamedTuple):
    """What a chunk answered: calls that succeeded, and the error texts of those that failed."""

    ok: int
    errors: tuple[str, ...]


class Call(NamedTuple):
    """A call that came, as its reply has to name it."""

    method: str
    sequence: int


class Client:
    """Calls the methods of one peer, any number at once."""

    def __init__(self) -> None:
        self._inbound = MessageDecoder(headers.RESPONSE)
        self._next = 0
        self._outstanding: set[int] = set()

    @property
    def in_flight(self) -> int:
        """How many calls have not been answered."""
        return len(self._outstanding)

    def calls(self, method: str, count: int) -> bytes:
        """Encode `count` further calls of `method` with an empty struct as argument.

        Raises:
            ValueError: the method has no name or too long a one, or `count` is negative.
        """
        name = method.encode()
        if not 0 < len(name) <= MAX_NAME_BYTES:
            raise ValueError(f"a method's name has 1 to {MAX_NAME_BYTES} bytes, not {len(name)}")
        if count < 0:
            raise ValueError(f"cannot make {count} calls")
        sequences = range(self._next, self._next + count)
        self._next += count
        self._outstanding.update(sequences)
        encoded = headers.empty_calls(name, sequences)
        if 0 in sequences:
            # Types are defined before their first use: the header's, then the argument's.
            first = headers.request(name, 0)
            rest = encoded[len(first) :]
            return headers.DEFINE_REQUEST + first + headers.DEFINE_EMPTY + rest
        return encoded

    def receive(self, data: bytes) -> Replies:
        """Take in a chunk, which may end anywhere; return what it completed.

        Raises:
            ProtocolError: the peer broke the rules, or answered a call that is not outstanding;
                replies before that in the same chunk are not told, and every later chunk raises.
        """
        ok = 0
        errors: list[str] = []
        for batch in self._inbound.receive(data):
            self._settle(batch.sequences)
            if batch.error:
                text = batch.error[:MAX_ERROR_BYTES].decode(errors="replace")
                errors += [text] * len(batch.sequences)
            else:
                ok += len(batch.sequences)
        return Replies(ok, tuple(errors))

    def _settle(self, sequences: list[int]) -> None:
        left = len(self._outstanding) - len(sequences)
        self._outstanding.difference_update(sequences)
        # More are left when one was not outstanding, or came twice.
        if len(self._outstanding) != left:
            raise self._inbound.fail("a reply to a call that is not outstanding")


class Server:
    """Answers the calls of one peer, in any order."""

    def __init__(self) -> None:
        self._inbound = MessageDecoder(headers.REQUEST)
        self._defined: set[bytes] = set()

    def receive(self, data: bytes) -> list[Call]:
        """Take in a chunk, which may end anywhere; return the calls that it completed.

        Raises:
            ProtocolError: the peer broke the rules; every later chunk raises again.
        """
        return [
            Call(batch.method.decode(errors="replace"), sequence)
            for batch in self._inbound.receive(data)
            for sequence in batch.sequences
        ]

    def reply(self, call: Call, error: str | None = None) -> bytes:
        """Encode the reply to `call`: an empty struct, or an error of at most `MAX_ERROR_BYTES`.

        Raises:
            ValueError: the error has no text, which the peer would take for success.
        """
        if error == "":
            raise ValueError("an error needs a text")
        text = (error or "").encode(errors="replace")[:MAX_ERROR_BYTES]
        header = headers.response(call.method.encode(), call.sequence, text)
        if error is None:
            body = self._once(headers.DEFINE_EMPTY) + headers.EMPTY
        else:
            body = self._once(headers.DEFINE_INVALID) + headers.INVALID
        return self._once(headers.DEFINE_RESPONSE) + header + body

    def _once(self, definition: bytes) -> bytes:
        """Give a type's definition the first time, nothing after."""
        if definition in self._defined:
            return b""
        self._defined.add(definition)
        return definition
