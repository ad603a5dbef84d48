"""The codec, compared with recorded bytes of Go's net/rpc."""

from __future__ import annotations

import pytest
from unit.netrpc.vectors import Exchange, exchanges, shapes

from goloagent.netrpc import Call, Client, Replies, Server


def replies_of(exchange: Exchange) -> Replies:
    """Return the decoded form of a recorded reply."""
    errors = () if exchange.error is None else (exchange.error,)
    return Replies(1 - len(errors), errors, [None])


def test_all_vectors_are_parsed() -> None:
    """The recording has seven calls, of which three fail."""
    assert [exchange.sequence for exchange in exchanges()] == list(range(7))
    assert sum(exchange.error is not None for exchange in exchanges()) == 3
    assert len(shapes()) == 24


def test_client_bytes_equal_gos() -> None:
    """The same calls have the same bytes, definitions included."""
    client = Client()
    for exchange in exchanges():
        assert client.calls(exchange.method, 1) == exchange.request


def test_server_bytes_equal_gos() -> None:
    """The same replies have the same bytes, type ids included."""
    server = Server()
    for exchange in exchanges():
        [call] = server.receive(exchange.request)
        assert call == Call(exchange.method, exchange.sequence)
        assert server.reply(call, exchange.error) == exchange.reply


def test_client_decodes_gos_replies() -> None:
    """Recorded replies decode to the results of Go's Call."""
    client = Client()
    for exchange in exchanges():
        client.calls(exchange.method, 1)
        assert client.receive(exchange.reply) == replies_of(exchange)
        assert client.in_flight == 0


def test_type_ids_are_learned() -> None:
    """Replies with the type ids of another binary decode to the same."""
    client = Client()
    for exchange in exchanges():
        client.calls(exchange.method, 1)
        # Ids 67, 66 and 68 become 100, 99 and 101.
        other = exchange.reply
        for here, there in (("ff85", "ffc7"), ("ff86", "ffc8"), ("ff83", "ffc5"), ("ff84", "ffc6")):
            other = other.replace(bytes.fromhex(here), bytes.fromhex(there))
        assert other != exchange.reply
        assert client.receive(other) == replies_of(exchange)


@pytest.mark.parametrize("method", shapes())
@pytest.mark.parametrize("step", [1, 2, 7, 100_000])
def test_replies_of_any_type_are_skipped(method: str, step: int) -> None:
    """Go's replies of every shape are skipped, in chunks of any size."""
    client, stream = Client(), shapes()[method]
    client.calls("Server." + method, 3)
    ok, errors = 0, []
    for start in range(0, len(stream), step):
        replies = client.receive(stream[start : start + step])
        ok += replies.ok
        errors += replies.errors
    assert (ok, errors) == ((0, ["failed: é"] * 3) if method == "Fail" else (3, []))
