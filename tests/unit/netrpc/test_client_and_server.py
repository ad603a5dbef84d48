"""Client and server in memory: any chunks, any order, any bytes."""

from __future__ import annotations

from collections.abc import Iterator
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.netrpc.vectors import shapes

from goloagent.netrpc import Call, Client, ProtocolError, Replies, Server, decoder, headers

outcomes = st.lists(st.sampled_from([None, None, None, "boom", "bang é"]), max_size=60)
first_numbers = st.sampled_from([0, 100, 250, 65_500, 2**24 - 20])


def chunks(data: bytes, sizes: st.DataObject) -> Iterator[bytes]:
    """Yield data in chunks of any sizes."""
    cuts = sizes.draw(st.lists(st.integers(0, len(data)), max_size=12).map(sorted))
    for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
        yield data[start:end]


def outcome_of(client: Client, pieces: Iterator[bytes]) -> tuple[int, list[str], str | None]:
    """Feed all pieces; return the replies and the text of the protocol error."""
    ok, errors = 0, []
    for piece in pieces:
        try:
            replies = client.receive(piece)
        except ProtocolError as refusal:
            return ok, errors, str(refusal)
        ok += replies.ok
        errors += replies.errors
    return ok, errors, None


def client_at(number: int, count: int) -> Client:
    """Return a client with `count` outstanding calls, numbered from `number`."""
    client = Client()
    client._next_sequence = number
    client.calls("Server.Run", count)
    return client


@st.composite
def reply_streams(draw: st.DrawFn) -> tuple[int, int, bytes]:
    """Draw the first number, the number of calls, and their replies in any order."""
    number, errors = draw(first_numbers), draw(outcomes)
    server = Server()
    replies = draw(st.permutations(list(enumerate(errors, number))))
    method = draw(st.sampled_from(["Server.Run", "", "M" * 200]))
    stream = b"".join(server.reply(Call(method, n), error) for n, error in replies)
    return number, len(errors), stream


@st.composite
def damaged(draw: st.DrawFn, streams: st.SearchStrategy[bytes]) -> bytes:
    """Draw a stream with some of its bytes changed, removed or inserted."""
    stream = bytearray(draw(streams))
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(stream)))
        stream[place : place + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(stream)


# Streams for the fast paths, and others.
any_streams = st.one_of(
    reply_streams().map(lambda drawn: drawn[2]),
    damaged(reply_streams().map(lambda drawn: drawn[2])),
    damaged(st.sampled_from(list(shapes().values()))),
    st.binary(max_size=200),
)


@given(reply_streams(), st.data())
def test_chunk_boundaries_do_not_matter(drawn: tuple[int, int, bytes], data: st.DataObject) -> None:
    """A stream gives the same replies whole, byte by byte, and cut anywhere."""
    number, count, stream = drawn
    whole = outcome_of(client_at(number, count), iter([stream]))
    assert whole[0] + len(whole[1]) == count
    assert whole[2] is None
    bytewise = (stream[place : place + 1] for place in range(len(stream)))
    assert outcome_of(client_at(number, count), bytewise) == whole
    assert outcome_of(client_at(number, count), chunks(stream, data)) == whole


@given(any_streams, st.data())
def test_any_bytes_give_results_or_protocol_errors(stream: bytes, data: st.DataObject) -> None:
    """The chunks of any stream do not change the protocol error, which repeats."""
    client = client_at(0, 1000)
    whole = outcome_of(client, iter([stream]))
    assert outcome_of(client_at(0, 1000), chunks(stream, data))[2] == whole[2]
    if whole[2] is not None:
        with pytest.raises(ProtocolError) as again:
            client.receive(b"")
        assert str(again.value) == whole[2]


@given(any_streams)
def test_any_bytes_at_the_server(stream: bytes) -> None:
    """The server returns calls, or raises a ProtocolError from then on."""
    server = Server()
    try:
        calls = server.receive(stream)
    except ProtocolError:
        with pytest.raises(ProtocolError):
            server.receive(b"\3\xff\x84\0")
    else:
        assert all(isinstance(call, Call) for call in calls)


@st.composite
def long_streams(draw: st.DrawFn) -> tuple[int, bytes]:
    """Draw a first number and hundreds of replies, a few of them different."""
    number, count = draw(first_numbers), draw(st.integers(1, 1000))
    server = Server()
    replies = [server.reply(Call("Server.Run", number + n)) for n in range(count)]
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.integers(0, count - 1))
        other = st.sampled_from([replies[0], replies[-1], b"", replies[place][:-1] + b"\1"])
        replies[place] = draw(other)
    return number, b"".join(replies)


@given(
    st.one_of(st.tuples(first_numbers, any_streams), long_streams()),
    st.sampled_from(["_repetitions", "_numbers_in_columns"]),
    st.data(),
)
def test_recognising_repetitions_changes_nothing(
    drawn: tuple[int, bytes], fast_path: str, data: st.DataObject
) -> None:
    """Both fast paths give the same result as decoding, also for damaged streams."""
    number, stream = drawn
    pieces = list(chunks(stream, data))
    fast = outcome_of(client_at(number, 1000), iter(pieces))
    with mock.patch.object(decoder, fast_path, return_value=[]):
        plain = outcome_of(client_at(number, 1000), iter(pieces))
    assert fast == plain


def test_the_first_error_is_reported() -> None:
    """Bytes after an unexpected reply in the same chunk do not matter."""
    client, server = client_at(200, 1), Server()
    reply = server.reply(Call("Server.Run", 200))
    with pytest.raises(ProtocolError, match="not outstanding"):
        client.receive(reply + server.reply(Call("Server.Run", 200)) + b"\0")


def test_repetitions_are_recognised() -> None:
    """In a run of equal replies only the first few are decoded."""
    client, server = client_at(128, 1000), Server()
    stream = b"".join(server.reply(Call("Server.Run", 128 + n)) for n in range(1000))
    plain = decoder.MessageDecoder._read_message
    with mock.patch.object(decoder.MessageDecoder, "_read_message", autospec=True) as counted:
        counted.side_effect = plain
        assert client.receive(stream)[:2] == (1000, ())
    # Six messages with definitions, and a new pattern where numbers grow to two bytes.
    assert counted.call_count <= 10


@given(first_numbers, st.lists(st.integers(0, 300), max_size=5), st.text(min_size=1, max_size=40))
def test_many_calls_equal_single_calls(number: int, counts: list[int], method: str) -> None:
    """Many calls at once have the same bytes as single ones, at every width of number."""
    name = method.encode(errors="replace")
    client = Client()
    client._next_sequence = number
    together = b"".join(client.calls(name.decode(), count) for count in counts)
    alone = [headers.request(name, number + n) + headers.EMPTY for n in range(sum(counts))]
    if number == 0 and alone:
        alone[0] = (
            headers.DEFINE_REQUEST + headers.request(name, 0) + headers.DEFINE_EMPTY + headers.EMPTY
        )
    assert together == b"".join(alone)


@given(outcomes, st.data())
def test_client_and_server_understand_each_other(
    errors: list[str | None], data: st.DataObject
) -> None:
    """Calls reach the server in order; replies in any order complete each call once."""
    client, server = Client(), Server()
    calls: list[Call] = []
    stamps = [-number for number in range(len(errors))]
    for piece in chunks(client.calls("Server.Run", len(errors), stamps), data):
        calls += server.receive(piece)
    assert calls == [Call("Server.Run", n) for n in range(len(errors))]
    assert client.in_flight == len(errors)
    replies = data.draw(st.permutations(list(zip(calls, errors, strict=True))))
    for call, error in replies:
        assert client.receive(server.reply(call, error)) == (
            Replies(1, (), [-call.sequence])
            if error is None
            else Replies(0, (error,), [-call.sequence])
        )
    assert client.in_flight == 0


@pytest.mark.parametrize("sequence", [0, 1, 200, 70_000])
def test_an_unexpected_reply(sequence: int) -> None:
    """A reply to a call that was not made, or had a reply, is a protocol error."""
    with pytest.raises(ProtocolError, match="not outstanding"):
        Client().receive(Server().reply(Call("Server.Run", sequence)))
    client, server = client_at(sequence, 3), Server()
    client.receive(server.reply(Call("Server.Run", sequence + 1)))
    with pytest.raises(ProtocolError, match="not outstanding"):
        client.receive(2 * server.reply(Call("Server.Run", sequence)))
    with pytest.raises(ProtocolError, match="not outstanding"):
        client.receive(b"")


def test_wrong_arguments_are_value_errors() -> None:
    """A ValueError changes no state."""
    client = Client()
    for method, count in (("", 1), ("m" * 1025, 1), ("Server.Run", -1)):
        with pytest.raises(ValueError, match=r"method|calls"):
            client.calls(method, count)
    with pytest.raises(ValueError, match="text"):
        Server().reply(Call("Server.Run", 1), "")
    assert client.in_flight == 0
    assert client.calls("Server.Run", 0) == b""
    assert client.calls("Server.Run", 1).startswith(headers.DEFINE_REQUEST)


def test_error_texts_are_cut() -> None:
    """An error's text is cut at 1,024 bytes in both directions; invalid UTF-8 is replaced."""
    text = headers.response(b"M", 1, b"\xff" + b"x" * 5000)
    client = client_at(1, 1)
    stream = headers.DEFINE_RESPONSE + text + headers.DEFINE_INVALID + headers.INVALID
    assert client.receive(stream)[:2] == (0, ("\N{REPLACEMENT CHARACTER}" + "x" * 1023,))
    assert len(Server().reply(Call("M", 1), "y" * 5000)) < 1200
