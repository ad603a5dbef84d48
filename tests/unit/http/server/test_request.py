"""Requests that are accepted or refused before their body."""

from __future__ import annotations

import ipaddress
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address, UNIXAddress
from unit.http import golo_cli
from unit.http.in_memory import MAX_UPLOAD_BYTES, Agent, Connection

from goloagent.core.job_spec import MAX_REQUEST_BYTES
from goloagent.host.readiness import Health
from goloagent.http.auth.access import CHALLENGES, AccessPolicy

TOKEN = b"correct-horse"
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "post"]
PATHS = ["/upload", "/queue", "/jobs/x", "/jobs/x/events", "/jobs/x/out.log", "/jobs/x/stats"]
PATHS += ["/binaries", "/metrics", "/openapi.json", "/health", "/", "/page/main.js", "/none", "*"]
FORM = b"Content-Type: multipart/form-data; boundary=b"
PART = b'--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n#!/bin/sh\n'
END = b"\r\n--b--\r\n"


def head(start: bytes, *lines: bytes) -> bytes:
    """Return a request's headers for localhost."""
    return b"\r\n".join([start + b" HTTP/1.1", b"Host: localhost:8081", *lines, b"", b""])


def begin_upload(agent: Agent, *lines: bytes) -> Connection:
    """Send the headers of an upload of 2 MiB."""
    connection = agent.connect()
    connection.send(head(b"POST /upload", b"Content-Length: 2097152", FORM, *lines))
    return connection


def chunk(data: bytes) -> bytes:
    """Return one chunk of a chunked body."""
    return b"%x\r\n%s\r\n" % (len(data), data)


@pytest.mark.parametrize("method", METHODS)
def test_without_the_token_every_route_and_method_is_401(agent: Agent, method: str) -> None:
    """The response precedes the body, and nothing is stored."""
    agent.access = AccessPolicy(token=TOKEN)
    for path in PATHS:
        connection = agent.connect(IPv4Address("TCP", "192.0.2.1", 40000))
        connection.send(head(f"{method} {path}".encode(), b"Content-Length: 500", FORM))
        response = connection.response(bodies=method != "HEAD")
        assert response.status == 401
        assert response.headers["WWW-Authenticate"] == ", ".join(CHALLENGES)
        assert response.headers["Connection"] == "close"
        connection.send(PART)
        connection.lose()
    assert agent.files == []
    assert agent.submitted == []


@pytest.mark.parametrize("method", METHODS)
def test_a_web_page_gets_403_for_every_method(agent: Agent, method: str) -> None:
    """Without a token, requests of other sites are refused."""
    for line in (
        b"Host: evil.example",
        b"Origin: http://evil.example",
        b"Sec-Fetch-Site: cross-site",
    ):
        connection = agent.connect()
        connection.send(head(f"{method} /upload".encode(), line, b"Content-Length: 500"))
        assert connection.response(bodies=method != "HEAD").status == 403
        connection.lose()
    assert agent.files == []


@pytest.mark.parametrize(
    ("peer", "expected"),
    [
        (IPv4Address("TCP", "10.0.0.1", 1), 200),
        (IPv4Address("TCP", "192.0.2.1", 1), 403),
        (UNIXAddress(None), 200),
    ],
)
def test_networks_apply_to_the_peer(agent: Agent, peer: Any, expected: int) -> None:
    """Forwarding headers are ignored; a Unix socket is allowed."""
    agent.access = AccessPolicy(networks=(ipaddress.ip_network("10.0.0.0/8"),))
    connection = agent.connect(peer)
    connection.send(head(b"GET /health", b"X-Forwarded-For: 10.0.0.1"))
    assert connection.response().status == expected
    connection.lose()


def test_a_refused_body_is_discarded(agent: Agent) -> None:
    """It is read to its end, so that no reset destroys the response."""
    agent.access = AccessPolicy(token=TOKEN)
    connection = begin_upload(agent)
    refusal = connection.received
    assert connection.response().status == 401
    for _ in range(2):
        connection.send(b"x" * 1048576)
    assert not connection.gone
    assert connection.received == refusal
    connection.lose()
    assert agent.clock.getDelayedCalls() == []


def test_a_refused_client_that_stalls_is_closed(agent: Agent) -> None:
    """After five seconds without bytes."""
    agent.access = AccessPolicy(token=TOKEN)
    connection = begin_upload(agent)
    agent.clock.advance(4.9)
    assert not connection.gone
    agent.clock.advance(0.1)
    assert connection.gone
    connection.lose()


def test_a_refused_client_that_never_ends_is_closed(agent: Agent) -> None:
    """After a minute."""
    agent.access = AccessPolicy(token=TOKEN)
    connection = agent.connect()
    connection.send(head(b"POST /upload", b"Transfer-Encoding: chunked", FORM))
    for _ in range(59):
        agent.clock.advance(1)
        connection.send(b"x")
    assert not connection.gone
    agent.clock.advance(1)
    assert connection.gone
    assert connection.response().status == 401
    connection.lose()


def test_no_request_after_a_refused_one_is_served(agent: Agent) -> None:
    """After the refused body, further requests are discarded."""
    agent.access = AccessPolicy(token=TOKEN)
    connection = agent.connect()
    connection.send(
        head(b"POST /queue", b"Content-Length: 4") + b"{}\r\n" + head(b"GET /health") * 2
    )
    assert connection.response().status == 401
    assert connection.closed
    connection.lose()
    assert agent.clock.getDelayedCalls() == []


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        (b"POST /nothing", 404),
        (b"PUT /upload", 405),
        (b"GET /upload", 405),
        (b"DELETE /queue", 405),
        (b"POST /jobs/x/out.log", 405),
    ],
)
def test_a_body_without_a_route_is_refused_early(agent: Agent, start: bytes, expected: int) -> None:
    """An unknown path or method is refused at the end of the headers."""
    connection = agent.connect()
    connection.send(head(start, b"Content-Length: 50000000"))
    response = connection.response()
    assert response.status == expected
    assert ("Allow" in response.headers) == (expected == 405)
    connection.lose()


@pytest.mark.parametrize(
    ("start", "phrase"),
    [
        (b"POST /upload", b"401 Unauthorized: a valid bearer token is required"),
        (b"POST /queue", b"401 Unauthorized"),
    ],
)
def test_the_status_line_of_an_upload_has_the_reason(
    agent: Agent, start: bytes, phrase: bytes
) -> None:
    """golo-cli prints only the status line of an upload."""
    agent.access = AccessPolicy(token=TOKEN)
    connection = agent.connect()
    connection.send(head(start, b"Content-Length: 5"))
    assert connection.received.startswith(b"HTTP/1.1 " + phrase + b"\r\n")
    connection.lose()


@pytest.mark.parametrize("chunked", [False, True])
def test_the_read_size_of_an_upload(agent: Agent, chunked: bool) -> None:
    """It is 1 MiB with a length; small chunks would take the parser seconds."""
    connection = agent.connect()
    body = PART + END
    size = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % len(body)
    connection.send(head(b"POST /upload", size, FORM))
    assert chunked or connection.transport.bufferSize == 1024 * 1024
    assert not chunked or not hasattr(connection.transport, "bufferSize")
    connection.send(chunk(body) + b"0\r\n\r\n" if chunked else body)
    assert connection.response().status == 200
    assert connection.transport.bufferSize == 65536
    connection.lose()


def test_the_read_size_of_a_refused_upload(agent: Agent) -> None:
    """The rest is read in small blocks."""
    connection = begin_upload(agent)
    connection.send(PART + b"\r\n" + PART)
    assert connection.response().status == 400
    assert connection.transport.bufferSize == 65536
    connection.lose()


HEALTH = b"GET /health"


def test_health_on_this_host_without_the_token(agent: Agent) -> None:
    """A health check on this host gets the status and nothing else."""
    agent.access = AccessPolicy(token=TOKEN, networks=(ipaddress.ip_network("10.0.0.0/8"),))
    for reason, expected in ((None, (200, "ready")), ("full", (503, "unready"))):
        agent.health = lambda reason=reason: Health("disk-full" if reason else "ready", reason)
        for peer in (IPv4Address("TCP", "127.0.0.1", 1), UNIXAddress(None)):
            connection = agent.connect(peer)
            connection.send(head(HEALTH))
            response = connection.response()
            assert (response.status, json.loads(response.body)["status"]) == expected
            assert len(json.loads(response.body)) == 1
            connection.lose()
    assert agent.request(head(b"HEAD /health")).status == 503


@pytest.mark.parametrize(
    ("peer", "start", "lines"),
    [
        ("192.0.2.1", HEALTH, []),
        ("127.0.0.1", HEALTH, [b"Authorization: Bearer wrong"]),
        ("127.0.0.1", HEALTH, [b"Authorization:"]),
        ("127.0.0.1", HEALTH, [b"Origin: http://localhost:8081"]),
        ("127.0.0.1", HEALTH, [b"Sec-Fetch-Site: cross-site"]),
        ("127.0.0.1", HEALTH, [b"X-Forwarded-For: 192.0.2.1"]),
        ("127.0.0.1", HEALTH, [b"Forwarded: for=192.0.2.1"]),
        ("127.0.0.1", HEALTH, [b"Host: evil.example"]),
        ("127.0.0.1", b"POST /health", []),
        ("127.0.0.1", b"GET /jobs", []),
        ("127.0.0.1", b"GET /health/", []),
        ("127.0.0.1", b"GET /%68ealth", []),
    ],
)
def test_other_requests_without_the_token_are_401(
    agent: Agent, peer: str, start: bytes, lines: list[bytes]
) -> None:
    """Another host, a wrong token, a web page, a rebound name, a proxy, another route."""
    agent.access = AccessPolicy(token=TOKEN)
    connection = agent.connect(IPv4Address("TCP", peer, 1))
    connection.send(head(start, *lines))
    assert connection.response().status == 401
    connection.lose()


def test_100_continue(agent: Agent) -> None:
    """An accepted client gets 100 before its body."""
    connection = begin_upload(agent, b"Expect: 100-continue")
    assert connection.received == b"HTTP/1.1 100 Continue\r\n\r\n"
    connection.lose()


def test_no_100_continue_after_a_refusal(agent: Agent) -> None:
    """A refused client gets the refusal only."""
    agent.access = AccessPolicy(token=TOKEN)
    connection = begin_upload(agent, b"Expect: 100-continue")
    assert connection.response().status == 401
    assert b"100" not in connection.received
    connection.lose()


@pytest.mark.parametrize(
    ("start", "limit"),
    [
        (b"POST /queue", MAX_REQUEST_BYTES),
        (b"GET /health", MAX_REQUEST_BYTES),
        (b"POST /upload", MAX_UPLOAD_BYTES),
        (b"POST /uplo%61d?x=1", MAX_UPLOAD_BYTES),
    ],
)
def test_a_body_announced_too_long_is_413(agent: Agent, start: bytes, limit: int) -> None:
    """Content-Length decides before the body."""
    for length, expected in ((limit + 1, 413), (10**30, 413), (limit, None)):
        connection = agent.connect()
        connection.send(head(start, b"Content-Length: %d" % length, FORM))
        assert [response.status for response in connection.responses()] == [expected][
            : bool(expected)
        ]
        connection.lose()


def test_a_chunked_body_is_counted(agent: Agent) -> None:
    """The response is sent as soon as the limit is exceeded."""
    connection = agent.connect()
    connection.send(head(b"POST /queue", b"Transfer-Encoding: chunked"))
    connection.send(chunk(b" " * MAX_REQUEST_BYTES))
    assert connection.received == b""
    connection.send(chunk(b" "))
    assert connection.response().status == 413
    connection.send(chunk(b" " * 1000) + b"0\r\n\r\n")
    assert connection.closed
    connection.lose()


def test_a_chunked_upload_above_the_limit_is_removed(agent: Agent) -> None:
    """It is 413."""
    connection = agent.connect()
    connection.send(head(b"POST /upload", b"Transfer-Encoding: chunked", FORM))
    connection.send(chunk(PART))
    assert len(agent.files) == 1
    for _ in range(MAX_UPLOAD_BYTES // 65536):
        connection.send(chunk(b"x" * 65536))
    assert connection.response().status == 413
    assert agent.files == []
    connection.lose()


def test_a_chunked_upload(agent: Agent) -> None:
    """It is accepted without a length."""
    connection = agent.connect()
    body = PART + END
    connection.send(head(b"POST /upload", b"Transfer-Encoding: chunked", FORM))
    connection.send(b"".join(chunk(body[i : i + 3]) for i in range(0, len(body), 3)) + b"0\r\n\r\n")
    assert connection.response().status == 200
    assert agent.files[0].read_bytes() == b"#!/bin/sh\n"
    connection.lose()


def test_an_upload_is_written_as_it_is_received(agent: Agent) -> None:
    """The file grows during the upload."""
    connection = begin_upload(agent)
    connection.send(PART)
    [part] = agent.files
    assert part.read_bytes() == b"#!/bin/sh\n"
    connection.send(b"x" * 65536)
    assert part.stat().st_size == len(b"#!/bin/sh\n") + 65536
    connection.lose()


def test_a_client_that_disconnects_during_an_upload(agent: Agent) -> None:
    """The incomplete file is removed."""
    connection = begin_upload(agent)
    connection.send(PART)
    assert len(agent.files) == 1
    connection.lose()
    assert agent.files == []


def test_a_stalled_upload_is_408(agent: Agent) -> None:
    """After ten seconds, and its file is removed."""
    connection = begin_upload(agent)
    connection.send(PART)
    agent.clock.advance(9.9)
    assert len(agent.files) == 1
    agent.clock.advance(0.1)
    assert connection.response().status == 408
    assert agent.files == []
    connection.lose()


def test_a_bad_chunk_removes_the_upload(agent: Agent) -> None:
    """It is 400, the connection closes and the file is removed."""
    connection = agent.connect()
    connection.send(head(b"POST /upload", b"Transfer-Encoding: chunked", FORM))
    connection.send(chunk(PART) + b"zz\r\n")
    assert connection.response().status == 400
    assert connection.closed
    connection.lose()
    assert agent.files == []


def test_an_invalid_upload_is_refused_early(agent: Agent) -> None:
    """The response does not wait for 2 MiB."""
    connection = begin_upload(agent)
    connection.send(PART + b"\r\n" + PART)
    response = connection.response()
    assert (response.status, response.body) == (400, b'more than one part "file"\n')
    assert agent.files == []
    connection.lose()


def test_pipelined_requests_are_served_in_order(agent: Agent) -> None:
    """An upload may be among them."""
    connection = agent.connect()
    connection.send(head(b"GET /health") + golo_cli.upload(b"#!/bin/sh\n") + head(b"GET /nothing"))
    assert [response.status for response in connection.responses()] == [200, 200, 404]
    assert not connection.closed
    connection.lose()


def test_the_limit_of_an_upload_is_for_one_request(agent: Agent) -> None:
    """The next request has the usual limit."""
    connection = agent.connect()
    connection.send(golo_cli.upload(b"#!/bin/sh\n"))
    connection.send(head(b"POST /queue", b"Content-Length: %d" % (MAX_REQUEST_BYTES + 1)))
    assert [response.status for response in connection.responses()] == [200, 413]
    connection.lose()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"GET /health HTTP/1.1\r\n\r\n", 400),
        (b"GET /health HTTP/1.0\r\n\r\n", 200),
        (b"GET /health HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
        (b"GET /health HTTP/1.1\r\nHost: " + b"a" * 300 + b"..\xff\r\n\r\n", 200),
    ],
)
def test_one_host_is_required_with_the_token(agent: Agent, data: bytes, expected: int) -> None:
    """HTTP/1.1 requires exactly one Host, whose value does not matter then."""
    agent.access = AccessPolicy(token=TOKEN)
    start, _, rest = data.partition(b"\r\n")
    response = agent.request(start + b"\r\nAuthorization: Bearer " + TOKEN + b"\r\n" + rest)
    assert response.status == expected


segments = st.one_of(
    st.sampled_from(["upload", "queue", "jobs", "health", "", ".", "..", "%2F", "%ff", "*", "|"]),
    st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=5),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    method=st.one_of(st.sampled_from(METHODS), st.text("AZaz09!#$%&'*+-.^_`|~", min_size=1)),
    parts=st.lists(segments, min_size=1, max_size=5),
    slash=st.sampled_from(["/", "", "//", "http://localhost/"]),
)
def test_any_path_and_method(agent: Agent, method: str, parts: list[str], slash: str) -> None:
    """None is redirected, is a 5xx or affects the next request."""
    target = (slash + "/".join(parts)) or "/"
    connection = agent.connect()
    connection.send(head(f"{method} {target}".encode()))
    [response] = connection.responses(bodies=method != "HEAD")
    assert response.status in {200, 400, 404, 405, 415}
    connection.lose()
    assert agent.request(head(b"GET /health")).status == 200


@pytest.mark.parametrize(
    "path",
    [b"//upload", b"/upload/", b"/%2Fupload", b"/jobs//x", b"/jobs/", b"//", b"/\xb0"],
)
def test_a_path_similar_to_a_route_is_404(agent: Agent, path: bytes) -> None:
    """Paths that a router would normalize or redirect do not exist."""
    response = agent.request(head(b"POST " + path, b"Content-Length: 0"))
    assert (response.status, response.headers.get("Location")) == (404, None)


@pytest.mark.parametrize(
    "name",
    ["Accept", "Accept-Encoding", "If-None-Match", "If-Range", "Last-Event-ID", "Range", "X-Any"],
)
def test_headers_of_any_bytes(agent: Agent, name: str) -> None:
    """A value that is not UTF-8 is a value like others."""
    for path in ("/", "/health", "/jobs", "/binaries", "/metrics", "/openapi.json"):
        connection = agent.connect()
        connection.send(head(b"GET " + path.encode(), name.encode() + b": \xff\xfe"))
        assert connection.response().status < 500, path
