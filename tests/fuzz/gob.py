"""What a load test sends on its RPC connection: Go's net/rpc, read by either end."""

from __future__ import annotations

from collections.abc import Iterator

from unit.netrpc.vectors import exchanges, shapes

from goloagent.netrpc import Client, ProtocolError, Server
from goloagent.netrpc.gob import MAX_MESSAGE_BYTES

CALLS = 64


def seeds() -> Iterator[bytes]:
    """Yield what Go's client and server wrote, whole connections and replies of every shape."""
    recorded = exchanges()
    for pieces in (
        b"".join(one.request for one in recorded),
        b"".join(one.reply for one in recorded),
        *shapes().values(),
    ):
        yield b"\x00" + pieces
        yield b"\x07" + pieces


def check(data: bytes) -> None:
    """Read it whole and in pieces: the same calls or replies, or a ProtocolError, nothing else."""
    size = data[0] + 1 if data else 1
    stream = data[1:]
    assert _replies(stream, len(stream) + 1) == _replies(stream, size)
    assert _calls(stream, len(stream) + 1) == _calls(stream, size)


def _replies(stream: bytes, size: int) -> tuple[int, list[str], bool]:
    client = Client()
    client.calls("Server.Run", CALLS)
    ok, errors = 0, list[str]()
    for start in range(0, len(stream), size):
        try:
            replies = client.receive(stream[start : start + size])
        except ProtocolError:
            # What came before in the same chunk is not told, so it cannot be compared.
            return 0, [], True
        ok += replies.ok
        errors += replies.errors
        _check_held(client)
    assert client.in_flight == CALLS - ok - len(errors)
    return ok, errors, False


def _calls(stream: bytes, size: int) -> tuple[list[object], bool]:
    server = Server()
    calls: list[object] = []
    for start in range(0, len(stream), size):
        try:
            calls += server.receive(stream[start : start + size])
        except ProtocolError:
            return [], True
        _check_held(server)
    return calls, False


def _check_held(end: Client | Server) -> None:
    assert len(end._inbound._held) <= MAX_MESSAGE_BYTES + 9
