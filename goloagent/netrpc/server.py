"""The server's end of a net/rpc connection: decodes calls and encodes replies."""

from __future__ import annotations

from typing import NamedTuple

from goloagent.netrpc import headers
from goloagent.netrpc.decoder import MessageDecoder
from goloagent.netrpc.headers import MAX_ERROR_BYTES


class Call(NamedTuple):
    """A call of the peer, as its reply must name it."""

    method: str
    sequence: int


class Server:
    """Replies to the calls of one peer, in any order; not thread-safe."""

    def __init__(self) -> None:
        self._decoder = MessageDecoder(headers.REQUEST)
        self._defined: set[bytes] = set()

    def receive(self, data: bytes) -> list[Call]:
        """Decode a chunk, which may end anywhere; return the calls that it completes.

        Raises:
            ProtocolError: the peer broke the protocol; every later chunk raises.
        """
        return [
            Call(run.method.decode(errors="replace"), sequence)
            for run in self._decoder.receive(data)
            for sequence in run.sequences
        ]

    def reply(self, call: Call, error: str | None = None) -> bytes:
        """Encode the reply to `call`: an empty struct, or an error cut at `MAX_ERROR_BYTES`.

        Raises:
            ValueError: the error is empty, which means success on the wire.
        """
        if error == "":
            raise ValueError("an error needs a text")
        text = (error or "").encode(errors="replace")[:MAX_ERROR_BYTES]
        header = headers.response(call.method.encode(), call.sequence, text)
        if error is None:
            body = self._define_once(headers.DEFINE_EMPTY) + headers.EMPTY
        else:
            body = self._define_once(headers.DEFINE_INVALID) + headers.INVALID
        return self._define_once(headers.DEFINE_RESPONSE) + header + body

    def _define_once(self, definition: bytes) -> bytes:
        """Return a type's definition the first time, nothing later."""
        if definition in self._defined:
            return b""
        self._defined.add(definition)
        return definition
