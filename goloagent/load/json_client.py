"""Calls in the format of Go's ``net/rpc/jsonrpc``: one JSON object a line, in both directions.

A request is ``{"method": "Server.Run", "params": [{}], "id": 7}``, its reply
``{"id": 7, "result": …, "error": null}``; a call has failed if ``error`` is not null
(https://pkg.go.dev/net/rpc/jsonrpc, JSON-RPC 1.0).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import repeat
from typing import Any

import msgspec

from goloagent.netrpc.client import Replies
from goloagent.netrpc.gob import ProtocolError
from goloagent.netrpc.headers import MAX_ERROR_BYTES

MAX_REPLY_BYTES = 64 * 1024


class _Reply(msgspec.Struct, gc=False):
    id: int
    error: Any = None


class JsonClient:
    """Calls the methods of one peer, any number at once, as `Client` does by gob."""

    def __init__(self) -> None:
        self._decoder = msgspec.json.Decoder(_Reply)
        self._cut = b""
        self._next = 0
        self._outstanding: dict[int, Any] = {}

    @property
    def in_flight(self) -> int:
        """How many calls have not been answered."""
        return len(self._outstanding)

    def calls(self, method: str, count: int, stamps: Sequence[Any] = ()) -> bytes:
        """Encode `count` further calls of `method` with an empty object as argument.

        Args:
            stamps: one for each call, returned with its reply; without them it is None.
        """
        ids = range(self._next, self._next + count)
        self._next += count
        self._outstanding.update(zip(ids, stamps or repeat(None), strict=False))
        head = f'{{"method":{json.dumps(method)},"params":[{{}}],"id":'
        return "".join([f"{head}{number}}}\n" for number in ids]).encode()

    def receive(self, data: bytes) -> Replies:
        """Take in a chunk, which may end anywhere; return what it completed.

        Raises:
            ProtocolError: a line is no reply, is longer than `MAX_REPLY_BYTES`, or answers a call
                that is not outstanding.
        """
        whole, newline, rest = data.rpartition(b"\n")
        if not newline:
            self._cut += rest
            self._check_length(self._cut)
            return Replies(0, (), [])
        lines, self._cut = self._cut + whole, rest
        self._check_length(rest)
        try:
            replies = self._decoder.decode_lines(lines)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ProtocolError(f"a reply is not JSON-RPC: {error}") from None
        errors: list[str] = []
        stamps: list[Any] = []
        for reply in replies:
            try:
                stamps.append(self._outstanding.pop(reply.id))
            except KeyError:
                raise ProtocolError("a reply to a call that is not outstanding") from None
            if reply.error is not None:
                errors.append(_text(reply.error))
        return Replies(len(replies) - len(errors), tuple(errors), stamps)

    def _check_length(self, line: bytes) -> None:
        if len(line) > MAX_REPLY_BYTES:
            raise ProtocolError(f"a reply is longer than {MAX_REPLY_BYTES} bytes")


def _text(error: object) -> str:
    """Return an error as a text, which is one by Go's server but anything by others."""
    text = error if isinstance(error, str) else json.dumps(error)
    return text.encode(errors="replace")[:MAX_ERROR_BYTES].decode(errors="replace")
