"""The client's end of a net/rpc connection: encodes calls and matches replies to them."""

from __future__ import annotations

from typing import NamedTuple

from goloagent.netrpc import headers
from goloagent.netrpc.decoder import MessageDecoder
from goloagent.netrpc.gob import MAX_NAME_BYTES
from goloagent.netrpc.headers import MAX_ERROR_BYTES


class Replies(NamedTuple):
    """The replies in a chunk: the number of successes, and the error text of each failure."""

    ok: int
    errors: tuple[str, ...]


class Client:
    """Calls the methods of one peer, any number at once; not thread-safe."""

    def __init__(self) -> None:
        self._decoder = MessageDecoder(headers.RESPONSE)
        self._next_sequence = 0
        self._outstanding: set[int] = set()

    @property
    def in_flight(self) -> int:
        """The number of calls without a reply."""
        return len(self._outstanding)

    def calls(self, method: str, count: int) -> bytes:
        """Encode `count` further calls of `method` with an empty struct as argument.

        Raises:
            ValueError: the method's name is empty or too long, or `count` is negative.
        """
        name = method.encode()
        if not 0 < len(name) <= MAX_NAME_BYTES:
            raise ValueError(f"a method's name has 1 to {MAX_NAME_BYTES} bytes, not {len(name)}")
        if count < 0:
            raise ValueError(f"cannot make {count} calls")
        sequences = range(self._next_sequence, self._next_sequence + count)
        self._next_sequence += count
        self._outstanding.update(sequences)
        encoded = headers.empty_calls(name, sequences)
        if 0 in sequences:
            # Types are defined before their first use: the header's, then the argument's.
            first = headers.request(name, 0)
            rest = encoded[len(first) :]
            return headers.DEFINE_REQUEST + first + headers.DEFINE_EMPTY + rest
        return encoded

    def receive(self, data: bytes) -> Replies:
        """Decode a chunk, which may end anywhere; return the replies that it completes.

        Raises:
            ProtocolError: the peer broke the protocol or replied to a call that is not outstanding.
                Earlier replies in the chunk are lost, and every later chunk raises.
        """
        ok = 0
        errors: list[str] = []
        for run in self._decoder.receive(data):
            self._match(run.sequences)
            if run.error:
                text = run.error[:MAX_ERROR_BYTES].decode(errors="replace")
                errors += [text] * len(run.sequences)
            else:
                ok += len(run.sequences)
        return Replies(ok, tuple(errors))

    def _match(self, sequences: list[int]) -> None:
        expected = len(self._outstanding) - len(sequences)
        self._outstanding.difference_update(sequences)
        # More remain if a sequence number was not outstanding or came twice.
        if len(self._outstanding) != expected:
            raise self._decoder.fail("a reply to a call that is not outstanding")
