"""Calls as lines of JSON: replies in any order, at any split, from any peer."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goloagent.load.json_client import MAX_REPLY_BYTES, JsonClient
from goloagent.netrpc.gob import ProtocolError


def reply(number: int, error: object = None) -> bytes:
    """Return a reply as Go's server writes it."""
    return json.dumps({"id": number, "result": {}, "error": error}).encode() + b"\n"


def test_calls_are_lines_with_ascending_ids() -> None:
    """Each has one empty object as argument."""
    client = JsonClient()
    lines = (client.calls("Server.Run", 2) + client.calls("Server.Run", 1)).splitlines()
    assert [json.loads(line) for line in lines] == [
        {"method": "Server.Run", "params": [{}], "id": number} for number in range(3)
    ]
    assert client.in_flight == 3


@given(st.permutations(range(6)), st.lists(st.integers(0, 250), max_size=6), st.booleans())
def test_replies_at_any_split(order: list[int], cuts: list[int], fails: bool) -> None:
    """However the bytes arrive, each call is answered once."""
    client = JsonClient()
    client.calls("Server.Run", 6)
    data = b"".join(reply(n, f"error {n}" if fails and n % 2 else None) for n in order)
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    received = [client.receive(data[a:b]) for a, b in pairwise(places)]
    errors = [text for one in received for text in one.errors]
    assert errors == [f"error {n}" for n in order if fails and n % 2]
    assert sum(one.ok for one in received) == 6 - len(errors)
    assert client.in_flight == 0


@pytest.mark.parametrize(
    ("error", "text"),
    [
        ("broken", "broken"),
        ({"code": 7}, '{"code": 7}'),
        (False, "false"),
        ("x" * 2000, "x" * 1024),
    ],
)
def test_what_is_no_null_is_an_error(error: object, text: str) -> None:
    """Other servers report objects; a long text is cut."""
    client = JsonClient()
    client.calls("Server.Run", 1)
    assert client.receive(reply(0, error)).errors == (text,)


@pytest.mark.parametrize(
    "data",
    [
        b"hello\n",
        b"[]\n",
        b'{"id": "0"}\n',
        b'{"id": 7}\n',
        b'{"id": -1}\n',
        b'{"error": 1}\n',
        b"\xff\xfe\n",
        b'{"id": 0, "error": ' + b"[" * 100_000 + b"\n",
        b" " * (MAX_REPLY_BYTES + 1),
        reply(0) * 2,
        reply(0) + b"x" * (MAX_REPLY_BYTES + 1),
    ],
)
def test_a_peer_that_breaks_the_protocol(data: bytes) -> None:
    """It is an error of the protocol, whatever it sends."""
    client = JsonClient()
    client.calls("Server.Run", 1)
    with pytest.raises(ProtocolError):
        client.receive(data)
