"""The parser of HTTP responses, with chunks that end anywhere and peers that break the protocol."""

from __future__ import annotations

from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goloagent.loadtests import chunked_body, http1
from goloagent.loadtests.http1 import InvalidResponse, ResponseParser

PLAIN = b"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = (
    b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5;name=value\r\nhello\r\n10\r\n0123456789abcdef\r\n0\r\nTrailer: x\r\n\r\n"
)
BAD_HEADS = {
    "TLS": b"\x15\x03\x01\x00\x02\x02\x46",
    "SSH": b"SSH-2.0-OpenSSH_9.2\r\n",
    "HTTP/2": b"\x00\x00\x12\x04\x00\x00\x00\x00\x00",
    "HTTP/0.9": b"<html>hello</html>",
    "HTTP/2 in text": b"HTTP/2 200\r\n\r\n",
    "no status": b"HTTP/1.1 OK\r\n\r\n",
    "status of two digits": b"HTTP/1.1 20 OK\r\n\r\n",
    "status of four digits": b"HTTP/1.1 2000 OK\r\n\r\n",
    "status below 100": b"HTTP/1.1 099 OK\r\n\r\n",
    "negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    "length in words": b"HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\n",
    "no length": b"HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
    "huge length": b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 40 + b"\r\n\r\n",
    "endless headers": b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 20_000,
    "long headers": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000 + b"\r\n\r\n",
    "endless line": b"HTTP/1.1 200 " + b"x" * 100_000,
    "endless interim responses": b"HTTP/1.1 100 Continue\r\n\r\n" * 20,
}
CHUNKS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
BAD_CHUNKS = {
    "size in words": b"five\r\n",
    "no size": b"\r\n",
    "negative size": b"-5\r\n",
    "huge size": b"f" * 20 + b"\r\n",
    "long chunk": b"5\r\nhello!\r\n",
    "endless line": b"5;" + b"x" * 2000,
    "endless trailers": b"0\r\n" + b"a: b\r\n" * 20_000,
}


def parse(*chunks: bytes, expects_body: bool = True) -> ResponseParser:
    """Parse chunks."""
    parser = ResponseParser(expects_body)
    for chunk in chunks:
        parser.feed(chunk)
    return parser


def members(parser: ResponseParser) -> tuple[int, int, bool, bool]:
    """Return what the parser found."""
    return parser.status, parser.size, parser.is_complete, parser.keeps_alive


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (PLAIN, (200, 5, True, True)),
        (CHUNKED, (404, 21, True, True)),
        (PLAIN[:-1], (200, 4, False, True)),
        (CHUNKED[:-1], (404, 21, False, True)),
        (PLAIN + b"x", (200, 5, True, False)),
        (CHUNKED + b"x", (404, 21, True, False)),
        (b"HTTP/1.1 204\r\n\r\n", (204, 0, True, True)),
        (b"HTTP/1.1 304 x\r\nContent-Length: 9\r\n\r\n", (304, 0, True, True)),
        (b"HTTP/1.1 204 x\r\n\r\nx", (204, 0, True, False)),
        (b"HTTP/1.1 200 OK\nContent-Length: 0\n\n", (200, 0, True, True)),
        (b"HTTP/1.1 200 OK\r\ncONTENT-lENGTH : 3, 3\r\n\r\nabc", (200, 3, True, True)),
        (
            b"HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 0\r\n\r\n",
            (200, 0, True, False),
        ),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", (200, 0, True, False)),
        (
            b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n",
            (200, 0, True, True),
        ),
        (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", (200, 13, False, False)),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc", (200, 3, False, False)),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n"
            b"Transfer-Encoding: Chunked\r\n\r\n0\r\n\r\n",
            (200, 0, True, True),
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 9\r\n\r\n0\r\n\r\n",
            (200, 0, True, False),
        ),
        (
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 x\r\nLink: y\r\n\r\n" + PLAIN,
            (200, 5, True, True),
        ),
        (b"HTTP/1.1 101 x\r\nUpgrade: websocket\r\n\r\n\x81", (101, 0, True, False)),
        (b"HTTP/1.1 599\r\nContent-Length: 0\r\n\r\n", (599, 0, True, True)),
    ],
)
def test_a_response(response: bytes, expected: tuple[int, int, bool, bool]) -> None:
    """Whole and byte by byte the result is the same."""
    assert members(parse(response)) == expected
    parser = ResponseParser()
    for number in response:
        if parser.is_complete:
            break  # the rest belongs to no response
        parser.feed(bytes([number]))
    assert members(parser)[:3] == expected[:3]


@given(st.sampled_from([PLAIN, CHUNKED]), st.lists(st.integers(1, 130)))
def test_random_splits(response: bytes, cuts: list[int]) -> None:
    """The result is that of the whole response."""
    places = sorted({0, len(response), *(cut for cut in cuts if cut < len(response))})
    parts = [response[start:end] for start, end in pairwise(places)]
    assert members(parse(*parts)) == members(parse(response))


def test_a_response_to_head() -> None:
    """It has no body, whatever its headers say."""
    head = PLAIN.removesuffix(b"hello")
    assert members(parse(head, expects_body=False)) == (200, 0, True, True)


@pytest.mark.parametrize("name", BAD_HEADS)
def test_a_violation(name: str) -> None:
    """It is found at once, whole and byte by byte."""
    with pytest.raises(InvalidResponse):
        parse(BAD_HEADS[name])
    with pytest.raises(InvalidResponse):
        parse(*(bytes([number]) for number in BAD_HEADS[name]))


@pytest.mark.parametrize("name", BAD_CHUNKS)
def test_a_violation_of_chunks(name: str) -> None:
    """It is found at once, whole and byte by byte."""
    with pytest.raises(InvalidResponse):
        parse(CHUNKS + BAD_CHUNKS[name])
    with pytest.raises(InvalidResponse):
        parse(CHUNKS, *(bytes([number]) for number in BAD_CHUNKS[name]))


@pytest.mark.parametrize(
    ("response", "is_complete"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\nabc", True),
        (b"HTTP/1.1 200 OK\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\n", False),
        (b"", False),
        (PLAIN[:-1], False),
        (CHUNKED[:-1], False),
    ],
)
def test_the_end_of_the_connection(response: bytes, is_complete: bool) -> None:
    """It is the end of a body without a length, and of no other response."""
    parser = ResponseParser()
    if response:
        parser.feed(response)
    if is_complete:
        parser.end()
        assert parser.is_complete
    else:
        with pytest.raises(InvalidResponse, match="the connection was closed"):
            parser.end()


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_any_bytes(first: bytes, second: bytes) -> None:
    """They are a response, a part of one, or a violation."""
    for start in (b"", b"HTTP/1.1 ", CHUNKS, PLAIN[:40]):
        parser = ResponseParser()
        with suppress(InvalidResponse):
            for chunk in (start + first, second):
                if chunk and not parser.is_complete:
                    parser.feed(chunk)


def test_memory_of_a_response() -> None:
    """A body of any length is counted and not stored."""
    parser = parse(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000000\r\n\r\n")
    block = bytes(1 << 20)
    for _ in range(100):
        parser.feed(block)
    assert parser.size == 100 << 20
    assert not parser._buffer
    chunks = parse(CHUNKS, b"ffffffff\r\n", *[block] * 10)
    assert (chunks.size, chunks._chunks._line) == (10 << 20, b"")


def test_the_bounds_are_those_of_usual_servers() -> None:
    """Servers allow headers of 8 to 16 KiB."""
    assert http1.MAX_HEAD_BYTES >= 16 << 10
    assert chunked_body.MAX_TRAILER_BYTES >= 16 << 10
    head = b"HTTP/1.1 200 OK\r\nX: " + b"x" * (16 << 10) + b"\r\nContent-Length: 0\r\n\r\n"
    assert parse(head).is_complete
