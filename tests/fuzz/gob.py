"""The RPC connection: Go's net/rpc, read by the client and by the server."""

from __future__ import annotations

from collections.abc import Iterator

from unit.netrpc.vectors import exchanges, shapes

from fuzz import cut, pieces
from goloagent.netrpc import Client, ProtocolError, Server
from goloagent.netrpc.gob import MAX_MESSAGE_BYTES

CALLS = 64


def seeds() -> Iterator[bytes]:
    """Yield bytes of Go's client and server: whole connections, and replies of every shape."""
    recorded = exchanges()
    for stream in (
        b"".join(one.request for one in recorded),
        b"".join(one.reply for one in recorded),
        *shapes().values(),
    ):
        yield b"\x00" + stream
        yield b"\x07" + stream


def check(data: bytes) -> None:
    """Read it whole and in pieces: both yield the same calls or replies, or a ProtocolError."""
    stream, size = cut(data)
    assert _replies(stream, len(stream) + 1) == _replies(stream, size)
    assert _calls(stream, len(stream) + 1) == _calls(stream, size)


def _replies(stream: bytes, size: int) -> tuple[int, list[str], bool]:
    client = Client()
    client.calls("Server.Run", CALLS)
    ok, errors = 0, list[str]()
    for piece in pieces(stream, size):
        try:
            replies = client.receive(piece)
        except ProtocolError:
            # Replies before the error in the same chunk are not returned, so do not compare them.
            return 0, [], True
        ok += replies.ok
        errors += replies.errors
        _check_buffer(client)
    assert client.in_flight == CALLS - ok - len(errors)
    return ok, errors, False


def _calls(stream: bytes, size: int) -> tuple[list[object], bool]:
    server = Server()
    calls: list[object] = []
    for piece in pieces(stream, size):
        try:
            calls += server.receive(piece)
        except ProtocolError:
            return [], True
        _check_buffer(server)
    return calls, False


def _check_buffer(end: Client | Server) -> None:
    assert len(end._decoder._buffer) <= MAX_MESSAGE_BYTES + 9
