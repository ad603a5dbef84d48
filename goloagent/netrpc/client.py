"""The client's end of a net/rpc connection: encodes calls and matches replies to them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat
from typing import Any, NamedTuple

from goloagent.netrpc import headers
from goloagent.netrpc.decoder import MessageDecoder
from goloagent.netrpc.gob import MAX_NAME_BYTES
from goloagent.netrpc.headers import MAX_ERROR_BYTES


class Replies(NamedTuple):
    """The replies in a chunk.

    Attributes:
        ok: the number of successes.
        errors: the error text of each failure.
        stamps: what was given to `calls` for each of these calls.
    """

    ok: int
    errors: tuple[str, ...]
    stamps: list[Any]


class Client:
    """Calls the methods of one peer, any number at once; not thread-safe."""

    def __init__(self) -> None:
        self._decoder = MessageDecoder(headers.RESPONSE)
        self._next_sequence = 0
        self._outstanding: dict[int, Any] = {}

    @property
    def in_flight(self) -> int:
        """The number of calls without a reply."""
        return len(self._outstanding)

    def calls(self, method: str, count: int, stamps: Sequence[Any] = ()) -> bytes:
        """Encode `count` further calls of `method` with an empty struct as argument.

        Args:
            stamps: one for each call, returned with its reply; without them it is None.

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
        if count == 1 and stamps:
            self._outstanding[sequences.start] = stamps[0]
        elif stamps and stamps.count(stamps[0]) == count:  # as all of one moment have
            self._outstanding.update(dict.fromkeys(sequences, stamps[0]))
        else:
            self._outstanding.update(zip(sequences, stamps or repeat(None)))
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
        stamps: list[Any] = []
        for run in self._decoder.receive(data):
            try:
                stamps += map(self._outstanding.pop, run.sequences)
            except KeyError:
                raise self._decoder.fail("a reply to a call that is not outstanding") from None
            if run.error:
                text = run.error[:MAX_ERROR_BYTES].decode(errors="replace")
                errors += [text] * len(run.sequences)
            else:
                ok += len(run.sequences)
        return Replies(ok, tuple(errors), stamps)
