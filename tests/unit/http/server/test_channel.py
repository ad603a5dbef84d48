"""A connection: its deadlines, its limits, and the framing that it refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.web.http import HTTPChannel
from unit.http.in_memory import MAX_UPLOAD_BYTES, Agent, Connection

from goloagent.host.readiness import Health
from goloagent.http.api.binaries import BinaryRoutes
from goloagent.http.api.health import HealthRoutes
from goloagent.http.api.router import build_api
from goloagent.http.auth.access import AccessPolicy
from goloagent.http.server.framing import check_hooks
from goloagent.http.server.limits import Limits
from goloagent.http.server.serial import MAX_PIPELINED_BYTES
from goloagent.http.server.site import build_site

RESERVE = 8
GET = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
UPLOAD = (
    b"POST /upload HTTP/1.1\r\nHost: localhost\r\n"
    b"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 2097152\r\n\r\n"
)
PART = b'--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n#!/bin/sh\n'


def host(number: int) -> IPv4Address:
    """Return the address of a client."""
    return IPv4Address("TCP", f"192.0.2.{number}", 40000)


@pytest.fixture
def connect(agent: Agent) -> Callable[[Any], Connection]:
    """Return a function that connects to a site with four connections, two per peer."""
    factory = build_site(
        build_api(HealthRoutes(Health), BinaryRoutes(agent.artifacts, agent.in_thread)),
        AccessPolicy(hosts=None),
        agent.artifacts,
        MAX_UPLOAD_BYTES,
        agent.clock,
        agent.in_thread,
        limits=Limits(connections=4, connections_per_peer=2, reserve=RESERVE),
    )
    return lambda peer: Connection(factory, peer)


def head(*lines: bytes) -> bytes:
    """Return the headers of a request to queue."""
    return b"\r\n".join([b"POST /queue HTTP/1.1", b"Host: localhost", *lines, b"", b""])


def test_beyond_the_limit_one_short_request_is_served(
    agent: Agent, connect: Callable[..., Connection]
) -> None:
    """Another connection of a peer gets one response; long requests are 503."""
    two = [connect(host(1)) for _ in range(2)]
    for connection in two:
        connection.send(UPLOAD)
    third, fourth = connect(host(1)), connect(host(1))
    third.send(GET + GET)
    response = third.response()
    assert (response.status, response.headers["Connection"]) == (200, "close")
    assert third.closed
    fourth.send(UPLOAD)
    response = fourth.response()
    assert (response.status, response.headers["Retry-After"]) == (503, "10")
    assert response.body == b"2 connections of 192.0.2.1 are open already\n"
    assert response.headers["Connection"] == "close"
    other = connect(host(2))
    other.send(GET)
    assert (other.response().status, other.closed) == (200, False)
    for connection in (*two, third, fourth, other):
        connection.lose()
    assert agent.clock.getDelayedCalls() == []


def test_beyond_the_limit_headers_have_two_seconds(
    agent: Agent, connect: Callable[..., Connection]
) -> None:
    """A connection in the reserve has a shorter deadline."""
    two = [connect(host(1)) for _ in range(2)]
    for connection in two:
        connection.send(UPLOAD)
    third = connect(host(1))
    third.send(GET[:-1])
    agent.clock.advance(1.9)
    assert not third.closed
    agent.clock.advance(0.1)
    assert third.response().status == 503
    assert third.closed
    for connection in (*two, third):
        connection.lose()


def test_an_idle_connection_is_evicted(agent: Agent, connect: Callable[..., Connection]) -> None:
    """The one idle for longest is closed for a new one."""
    first, second = connect(host(1)), connect(host(1))
    for connection in (second, first):
        connection.send(GET)
        agent.clock.advance(1)
    third = connect(host(1))
    assert (first.closed, second.closed) == (False, True)
    third.send(GET + GET)
    assert [response.status for response in third.responses()] == [200, 200]
    assert not third.closed
    for connection in (first, second, third):
        connection.lose()
    assert agent.clock.getDelayedCalls() == []


def test_a_connection_with_slow_headers_is_evicted(
    agent: Agent, connect: Callable[..., Connection]
) -> None:
    """It gets 503 if it has sent a byte."""
    slow = [connect(host(1)) for _ in range(2)]
    slow[0].send(GET[:1])
    agent.clock.advance(1)
    third, fourth = connect(host(1)), connect(host(1))
    assert [connection.closed for connection in slow] == [True, True]
    assert slow[0].response().status == 503
    assert slow[1].received == b""  # it has asked nothing
    agent.clock.advance(2)
    assert slow[0].aborted
    fourth.lose()
    for connection in (*slow, third):
        connection.lose()
    assert agent.clock.getDelayedCalls() == []


def test_a_closed_connection_is_replaced(connect: Callable[..., Connection]) -> None:
    """It makes space for one connection; one of the reserve makes none."""
    first, second, third = (connect(host(1)) for _ in range(3))
    for connection in (first, second):
        connection.send(UPLOAD)
    third.lose()
    fourth = connect(host(1))
    fourth.send(UPLOAD)
    assert fourth.response().status == 503
    first.lose()
    fifth = connect(host(1))
    fifth.send(UPLOAD)
    assert fifth.received == b""
    for connection in (second, fourth, fifth):
        connection.lose()


class OneByOne(Clock):
    """A clock that runs calls due at once in the next advance, as a reactor does."""

    def advance(self, amount: float) -> None:
        """Run the calls that are due now, without those that they add."""
        due = [call for call in self.getDelayedCalls() if call.time <= self.seconds()]
        self.calls = [call for call in self.calls if call not in due]
        for call in due:
            call.func(*call.args, **call.kw)


def test_pipelined_requests_take_turns(agent: Agent) -> None:
    """Each iteration of the reactor serves one request of all connections."""
    agent.clock = OneByOne()
    first = agent.connect()
    second = Connection(first._protocol.factory, IPv4Address("TCP", "127.0.0.1", 40001))
    for connection in (first, second):
        connection._protocol.dataReceived(GET * 3)
    counts = []
    for _ in range(5):
        counts.append([len(connection.responses()) for connection in (first, second)])
        agent.clock.advance(0)
    assert counts == [[1, 1], [2, 1], [2, 2], [3, 2], [3, 3]]
    first.lose()
    second.lose()


def test_no_request_is_served_while_the_buffer_is_full(agent: Agent) -> None:
    """While the client does not read, no further request is parsed."""
    connection = agent.connect()
    connection.send(GET)
    connection.stall()
    before = connection.received
    connection.send(GET * 1000)
    assert connection.received == before
    assert connection.transport.producerState == "paused"
    connection.resume()
    connection.send(b"")
    assert len(connection.responses()) == 1001
    assert connection.transport.producerState == "producing"
    connection.lose()
    assert agent.clock.getDelayedCalls() == []


def test_reading_pauses_after_a_request(agent: Agent) -> None:
    """While a response is incomplete, at most 16 KiB more are read."""
    connection = agent.connect()
    connection._protocol.requestFactory = without_response(connection._protocol.requestFactory)
    connection.send(GET + b"x" * MAX_PIPELINED_BYTES)
    assert connection.transport.producerState == "producing"
    connection.send(b"x")
    assert connection.transport.producerState == "paused"
    assert len(connection._protocol.requests) == 1
    connection.lose()


def test_a_missing_part_of_twisted_is_named() -> None:
    """A version of Twisted without a private part that is used is refused."""
    check_hooks()
    with pytest.raises(RuntimeError, match=r"Twisted \S+ has no HTTPChannel\._fail.*: install"):
        check_hooks(object)

    class Renamed(HTTPChannel):
        """A channel with another name for the request's version."""

        @property
        def _version(self) -> bytes:
            raise AttributeError

        @_version.setter
        def _version(self, version: bytes) -> None:
            self.version = version

        def __dir__(self) -> list[str]:
            return [name for name in super().__dir__() if name != "_version"]

        def checkPersistence(self, request: Any, version: bytes) -> bool:
            """Return without reading the version."""
            return True

        def allHeadersReceived(self) -> None:
            """Call the request without the version."""
            self.requests[-1].gotLength(self.length)

    with pytest.raises(RuntimeError, match=r"has no HTTPChannel\._version: install"):
        check_hooks(Renamed)


def test_slow_headers_are_408(agent: Agent) -> None:
    """Received bytes do not extend the deadline of ten seconds."""
    connection = agent.connect()
    for byte in GET[:9]:
        connection.send(bytes([byte]))
        agent.clock.advance(1)
    assert not connection.closed
    connection.send(GET[9:-2])
    agent.clock.advance(1)
    response = connection.response()
    assert (response.status, response.body) == (408, b"the headers are not complete within 10 s\n")
    assert connection.closed
    connection.lose()


def test_a_silent_connection_is_closed(agent: Agent) -> None:
    """It gets no response, which could be taken for that to its next request."""
    connection = agent.connect()
    agent.clock.advance(10)
    assert connection.closed
    assert connection.received == b""
    connection.lose()


def test_the_idle_deadline(agent: Agent) -> None:
    """The next request must begin within a minute after a response."""
    connection = agent.connect()
    for _ in range(3):
        connection.send(GET)
        agent.clock.advance(59)
        assert not connection.closed
    agent.clock.advance(1)
    assert connection.closed
    assert [response.status for response in connection.responses()] == [200] * 3
    connection.lose()


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("beginning", [b"G", b"GET /health HTTP/1.1\r\n", GET[:-2]])
def test_the_next_request_has_its_own_deadline(
    agent: Agent, beginning: bytes, together: bool
) -> None:
    """It has ten seconds from its first byte, pipelined or not."""
    connection = agent.connect()
    if together:
        connection.send(GET + beginning)
    else:
        connection.send(GET)
        agent.clock.advance(50)
        connection.send(beginning)
    agent.clock.advance(9)
    connection.send(b"T" if beginning == b"G" else b"X")
    assert not connection.closed
    agent.clock.advance(1)
    assert [response.status for response in connection.responses()] == [200, 408]
    assert connection.closed
    connection.lose()


def test_a_slow_body_is_408(agent: Agent) -> None:
    """A body below 10 KiB/s is refused after ten seconds."""
    connection = agent.connect()
    connection.send(UPLOAD + PART)
    for _ in range(9):
        agent.clock.advance(1)
        connection.send(b"x" * 10000)
    agent.clock.advance(1)
    response = connection.response()
    assert response.status == 408
    assert response.body == b"the request body comes slower than 10240 bytes/s\n"
    assert agent.files == []
    agent.clock.advance(2)
    assert connection.closed
    connection.lose()
    assert agent.clock.getDelayedCalls() == []


def test_a_body_at_the_minimum_rate(agent: Agent) -> None:
    """A body at 10 KiB/s is accepted."""
    connection = agent.connect()
    connection.send(UPLOAD + PART)
    left = 2097152 - len(PART) - len(b"\r\n--b--\r\n")
    while left > 102400:
        connection.send(b"x" * 102400)
        left -= 102400
        agent.clock.advance(10)
    assert connection.received == b""
    connection.send(b"x" * left + b"\r\n--b--\r\n")
    assert connection.response().status == 200
    connection.lose()


def test_a_response_has_no_deadline(agent: Agent) -> None:
    """A stream may last for a day."""
    connection = agent.connect()
    connection._protocol.requestFactory = without_response(connection._protocol.requestFactory)
    connection.send(GET)
    agent.clock.advance(24 * 3600)
    assert not connection.closed
    assert connection.received == b""
    connection.lose()
    assert agent.clock.getDelayedCalls() == []


def without_response(make: Callable[..., Any]) -> Callable[..., Any]:
    """Return a request factory whose requests get no response."""

    def of(*args: Any) -> Any:
        request = make(*args)
        request.process = lambda: None
        return request

    return of


def test_a_client_that_does_not_read_its_response(agent: Agent) -> None:
    """It is aborted after a minute without progress."""
    connection = agent.connect()
    connection.send(b"nonsense\r\n")
    assert connection.closed
    connection.transport.unsent = 3
    agent.clock.advance(5)
    agent.clock.advance(59)
    connection.transport.unsent = 2  # it has taken one byte
    agent.clock.advance(1)
    agent.clock.advance(59)
    assert not connection.aborted
    agent.clock.advance(1)
    assert connection.aborted
    connection.lose()


MALFORMED = {
    "two lengths": head(b"Content-Length: 2", b"Content-Length: 2"),
    "two different lengths": head(b"Content-Length: 2", b"Content-Length: 50"),
    "a list of lengths": head(b"Content-Length: 2, 2"),
    "a length and chunks": head(b"Content-Length: 2", b"Transfer-Encoding: chunked"),
    "chunks and a length": head(b"Transfer-Encoding: chunked", b"Content-Length: 2"),
    "chunks twice": head(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"),
    "chunks among others": head(b"Transfer-Encoding: gzip, chunked"),
    "identity and a length": head(b"Transfer-Encoding: identity", b"Content-Length: 2"),
    "chunks in HTTP/1.0": (
        b"POST /queue HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    ),
    "chunks misspelt": head(b"Transfer-Encoding: xchunked"),
    "chunks in quotes": head(b'Transfer-Encoding: "chunked"'),
    "no encoding": head(b"Transfer-Encoding:"),
    "a signed length": head(b"Content-Length: +2"),
    "a negative length": head(b"Content-Length: -2"),
    "a length in hexadecimal": head(b"Content-Length: 0x2"),
    "an endless length": head(b"Content-Length: " + b"9" * 5000),
    "NUL in a header": head(b"X: a\x00b"),
    "CR in a header": head(b"X: a\rb"),
    "LF in a header": head(b"X: a\nb"),
    "LF alone ends a header": head(b"X: a\nContent-Length: 2"),
    "NUL in a name": head(b"X\x00: a"),
    "a space before the colon": head(b"Content-Length : 2"),
    "a tab before the colon": head(b"Transfer-Encoding\t: chunked"),
    "no colon": head(b"Content-Length 2"),
    "no name": head(b": 2"),
    "a folded header": head(b"X: a", b" b"),
    "a folded length": head(b"Content-Length:", b" 2"),
    "folded from the start": b"POST /queue HTTP/1.1\r\n Host: localhost\r\n\r\n",
    "a header of 17 KiB": head(b"X: " + b"x" * 17408),
    "headers of 17 KiB": head(*[b"X: " + b"x" * 1024] * 17),
    "501 headers": head(*[b"X: x"] * 501),
    "a request line of 17 KiB": b"GET /" + b"x" * 17408 + b" HTTP/1.1\r\n\r\n",
    "no end of line": b"G" * 17408,
    "HTTP/0.9": b"GET /health\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/1.2": b"GET /health HTTP/1.2\r\nHost: localhost\r\n\r\n",
    "http in lower case": b"GET /health http/1.1\r\nHost: localhost\r\n\r\n",
    "two spaces": b"GET  /health HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a space in front": b" GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "another host in the target": b"GET http://a/health HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "its own host in the target": b"GET http://localhost/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a target that is no path": b"GET health HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "no path at all": b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a tunnel": b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n",
}


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED.keys())
def test_ambiguous_framing_is_400(agent: Agent, data: bytes) -> None:
    """The response has a reason, the connection closes, and no later byte is parsed."""
    connection = agent.connect()
    connection.send(data + b"{}" + GET * 3)
    connection._protocol.dataReceived(GET)  # as TLS does, also after closing
    response = connection.response()
    assert response.status == 400
    assert response.body.endswith(b"\n")
    assert response.headers["Connection"] == "close"
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
    agent.clock.advance(2)
    assert connection.closed
    connection.lose()
    assert agent.clock.getDelayedCalls() == []


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED.keys())
def test_ambiguous_framing_after_a_request(agent: Agent, data: bytes) -> None:
    """After a served request, in one packet or byte by byte, it is 400, too."""
    connection = agent.connect()
    connection.send(GET + data)
    assert [response.status for response in connection.responses()] == [200, 400]
    connection.lose()
    connection = agent.connect()
    for byte in GET + data:
        connection.send(bytes([byte]))
    assert [response.status for response in connection.responses()] == [200, 400]
    connection.lose()


BAD_CHUNKS = [
    b"zz\r\n",
    b"-1\r\n",
    b"+1\r\nx\r\n",
    b"0x1\r\nx\r\n",
    b"1_0\r\n",
    b" 1\r\nx\r\n",
    b"1 \r\nx\r\n",
    b"1\nx\n0\n\n",
    b"1\r\nxx\r\n",
    b"1\r\nx\n",
    b"1;\nx\r\nx\r\n",
    b";a=b\r\n",
    b"\r\n",
    b"1" * 2000,
    b"1;" + b"a" * 2000 + b"\r\n",
    b"0\r\n" + b"X: x\r\n" * 20000,
]


@pytest.mark.parametrize("chunk", BAD_CHUNKS, ids=lambda chunk: repr(chunk[:12]))
def test_a_bad_chunk_is_400(agent: Agent, chunk: bytes) -> None:
    """Chunks that violate RFC 9112 are 400, and no later byte is parsed."""
    connection = agent.connect()
    connection.send(head(b"Transfer-Encoding: chunked") + chunk)
    connection._protocol.dataReceived(b"0\r\n\r\n" + GET)
    response = connection.response()
    assert (response.status, response.body) == (400, b"the request is malformed\n")
    assert connection.closed
    assert agent.submitted == []
    connection.lose()


def test_extensions_and_trailers_are_ignored(agent: Agent) -> None:
    """The next request is intact."""
    connection = agent.connect()
    body = b"2;a=b\r\n{}\r\n0;c\r\nContent-Length: 5\r\nHost: evil\r\n\r\n"
    connection.send(head(b"Transfer-Encoding: chunked") + body + GET)
    assert [response.status for response in connection.responses()] == [400, 200]
    assert connection.responses()[0].body == b" is an invalid binary\n"
    connection.lose()


def test_a_refused_request_has_one_response(agent: Agent) -> None:
    """A malformed body after a refusal adds none."""
    connection = agent.connect()
    connection.send(
        b"POST /queue HTTP/1.1\r\nHost: evil.example\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"
    )
    assert connection.response().status == 403
    assert connection.closed
    connection.lose()


def test_a_request_in_a_body(agent: Agent) -> None:
    """It is the body, with a length and in chunks."""
    inner = b"DELETE /jobs/x HTTP/1.1\r\nHost: localhost\r\n\r\n"
    chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(inner), inner)
    connection = agent.connect()
    connection.send(head(b"Content-Length: %d" % len(inner)) + inner)
    connection.send(head(b"Transfer-Encoding: chunked") + chunked)
    assert [response.status for response in connection.responses()] == [400, 400]
    assert all(b"invalid JSON" in response.body for response in connection.responses())
    assert not connection.closed
    connection.lose()


def test_http_1_0_is_served_once(agent: Agent) -> None:
    """An HTTP/1.0 client gets one response."""
    connection = agent.connect()
    connection.send(b"GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n" + GET)
    assert connection.response().status == 200
    assert connection.closed
    connection.lose()


pieces = st.sampled_from(
    [
        GET,
        head(b"Content-Length: 2"),
        head(b"Transfer-Encoding: chunked"),
        b"2\r\n{}\r\n",
        b"0\r\n\r\n",
        b"{}",
        b"\r\n",
        b" ",
        b"\x00",
        UPLOAD,
        PART,
        *MALFORMED.values(),
    ]
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.lists(pieces | st.binary(max_size=20), max_size=6).map(b"".join), cut=st.integers(1))
def test_any_bytes(agent: Agent, data: bytes, cut: int) -> None:
    """Any split has the same responses, without an error, a 5xx or a leftover timer."""
    outcomes = []
    for size in (len(data) + 1, cut % 50 + 1, 1):
        connection = agent.connect()
        for start in range(0, len(data), size):
            connection.send(data[start : start + size])
        outcomes.append([response.status for response in connection.responses()])
        connection.lose()
        assert agent.clock.getDelayedCalls() == []
    assert outcomes[0] == outcomes[1] == outcomes[2]
    assert all(status < 500 for status in outcomes[0])
