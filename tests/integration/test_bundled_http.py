"""The bundled HTTP load test against servers that follow HTTP, and ones that break it."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest
from peers.certificate import self_signed
from peers.driven import TIMEOUT_SECONDS, driven, launch
from peers.ports import free_port
from peers.scripted_server import Peer, ScriptedServer

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


def respond(response: bytes, *then: bytes) -> Any:
    """Return a handler that sends the same response to each request, in parts."""

    def handle(peer: Peer) -> None:
        while peer.request():
            for part in (response, *then):
                peer.send(part)

    return handle


def summary(results: list[dict[str, Any]]) -> list[tuple[int, int, str | None]]:
    """Return the members of results that a response determines."""
    return [(one["status"], one["size"], one["error"]) for one in results]


def test_connections_stay_open(tmp_path: Path) -> None:
    """There is one for each concurrent request, and each request is one result."""
    together = threading.Barrier(5)

    def handle(peer: Peer) -> None:
        while peer.request():
            together.wait(TIMEOUT_SECONDS)
            peer.send(OK)

    with ScriptedServer(handle) as server, driven(tmp_path, "http_get", server.url) as load_test:
        for _ in range(10):
            assert load_test.call(5) == []
        results, err = load_test.end()
    assert err == ""
    assert server.connections == 5
    assert summary(results) == [(200, 5, None)] * 50
    assert len(server.requests) == len({one["sequenceID"] for one in results}) == 50


@pytest.mark.parametrize(
    ("response", "expected", "connections"),
    [
        (OK, (200, 5, None), 1),
        (b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n", (302, 0, None), 1),
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy", (503, 4, None), 1),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            (200, 3, None),
            1,
        ),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, (200, 5, None), 1),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx", (200, 1, None), 3),
        (OK + b"more", (200, 5, None), 3),
    ],
)
def test_responses(
    tmp_path: Path, response: bytes, expected: tuple[Any, ...], connections: int
) -> None:
    """Redirects are results; a connection that cannot be used again is replaced."""
    with (
        ScriptedServer(respond(response)) as server,
        driven(tmp_path, "http_get", server.url) as load_test,
    ):
        for _ in range(3):
            assert load_test.call() == []
        results, err = load_test.end()
    assert err == ""
    assert summary(results) == [expected] * 3
    assert (len(server.requests), server.connections) == (3, connections)


def test_a_body_until_the_end(tmp_path: Path) -> None:
    """A response without a length ends with its connection."""

    def handle(peer: Peer) -> None:
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\n\r\nuntil ")
        peer.send(b"the end")

    with ScriptedServer(handle) as server, driven(tmp_path, "http_get", server.url) as load_test:
        load_test.call()
        load_test.call()
        results, _ = load_test.end()
    assert summary(results) == [(200, 13, None)] * 2


def test_options(tmp_path: Path) -> None:
    """Method, headers and a body of a file are sent, and the response to HEAD has no body."""
    (tmp_path / "body").write_bytes(b"\x00\xff")
    received: list[bytes] = []

    def handle(peer: Peer) -> None:
        received.append(peer.request() + peer._buffer)
        peer.send(b"HTTP/1.1 201 Made\r\nContent-Length: 0\r\n\r\n")

    options = ("--method", "PUT", "--header", "X: y", "--data", f"@{tmp_path / 'body'}")
    with (
        ScriptedServer(handle) as server,
        driven(tmp_path, "http_get", server.url, *options) as load_test,
    ):
        load_test.call()
        [result], _ = load_test.end()
    assert (result["method"], result["status"]) == ("PUT", 201)
    assert received[0].startswith(b"PUT / HTTP/1.1\r\n")
    assert b"\r\nX: y" in received[0]
    assert received[0].endswith(b"\x00\xff")
    head = respond(OK.removesuffix(b"hello"))
    with (
        ScriptedServer(head) as server,
        driven(tmp_path, "http_get", server.url, "--method", "HEAD") as load_test,
    ):
        load_test.call()
        load_test.call()
        results, _ = load_test.end()
    assert summary(results) == [(200, 0, None)] * 2
    assert server.connections == 1


def test_ipv6(tmp_path: Path) -> None:
    """A host may be an IPv6 address."""
    try:
        server = ScriptedServer(respond(OK), host="::1")
    except OSError:
        pytest.skip("this machine has no IPv6")
    with server, driven(tmp_path, "http_get", server.url) as load_test:
        load_test.call()
        results, _ = load_test.end()
    assert summary(results) == [(200, 5, None)]
    assert b"\r\nHost: [::1]:" in server.requests[0]


def test_the_addresses_of_a_host(tmp_path: Path) -> None:
    """The server listens on one of localhost's only."""
    with ScriptedServer(respond(OK)) as server:
        url = server.url.replace("127.0.0.1", "localhost")
        with driven(tmp_path, "http_get", url) as load_test:
            load_test.call()
            results, _ = load_test.end()
    assert summary(results) == [(200, 5, None)]


@pytest.fixture
def https(tmp_path: Path) -> Iterator[ScriptedServer]:
    """Run a server whose certificate no authority has signed."""
    pem = tmp_path / "pem"
    pem.write_bytes(self_signed("127.0.0.1"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    with ScriptedServer(respond(OK), tls=context) as server:
        yield server


def test_https(tmp_path: Path, https: ScriptedServer) -> None:
    """The certificate must verify, unless it is configured otherwise or its authority is known."""
    with driven(tmp_path, "http_get", https.url) as load_test:
        load_test.call()
        [result], _ = load_test.end()
    assert (result["status"], result["size"]) == (0, -1)
    assert "certificate verify failed" in result["error"]
    options: list[tuple[tuple[str, ...], dict[str, str]]] = [
        (("--insecure",), {}),
        ((), {"SSL_CERT_FILE": str(tmp_path / "pem")}),
    ]
    for number, (arguments, variables) in enumerate(options, 1):
        with driven(tmp_path, "http_get", https.url, *arguments, **variables) as load_test:
            load_test.call()
            load_test.call()
            results, _ = load_test.end()
        assert summary(results) == [(200, 5, None)] * 2
        assert len(https.requests) == 2 * number


def one_response(peer: Peer) -> None:
    """Respond once on each connection, and close it when the next request comes."""
    peer.request()
    peer.send(OK)
    peer.read()


@pytest.mark.parametrize(
    ("method", "statuses"), [("GET", [200, 200, 200]), ("POST", [200, 0, 200])]
)
def test_a_connection_that_is_closed_before_its_second_response(
    tmp_path: Path, method: str, statuses: list[int]
) -> None:
    """The request is repeated once, and is one result, if it is idempotent."""
    with (
        ScriptedServer(one_response) as server,
        driven(tmp_path, "http_get", server.url, "--method", method) as load_test,
    ):
        for _ in range(3):
            load_test.call()
        results, _ = load_test.end()
    assert [one["status"] for one in results] == statuses
    assert results[1]["error"] in (None, "the connection was closed without a response")


def test_a_new_connection_that_is_closed(tmp_path: Path) -> None:
    """It is an error at once: a request is not repeated without limit."""
    with (
        ScriptedServer(lambda peer: peer.request() and None) as server,
        driven(tmp_path, "http_get", server.url) as load_test,
    ):
        load_test.call()
        results, _ = load_test.end()
    assert summary(results) == [(0, -1, "the connection was closed without a response")]
    assert server.connections == 1


ENDLESS = {
    "headers": (b"HTTP/1.1 200 OK\r\n", b"a: b\r\n" * 10_000, "headers of over"),
    "status line": (b"HTTP/1.1 200 ", b"x" * 60_000, "headers of over"),
    "garbage": (b"\x00\xff", b"\xff" * 60_000, "not an HTTP/1.1 response"),
    "trailers": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
        b"a: b\r\n" * 10_000,
        "trailers of over",
    ),
    "interim responses": (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000, "interim responses"),
    "body": (b"HTTP/1.1 200 OK\r\n\r\n", bytes(1 << 20), "timeout within the response"),
    "chunks": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"1\r\nx\r\n" * 10_000,
        "timeout within the response",
    ),
}


@pytest.mark.parametrize("what", ENDLESS)
def test_endless(tmp_path: Path, what: str) -> None:
    """It is an error in bounded memory and time, and the next request is not disturbed."""
    start, block, error = ENDLESS[what]

    def handle(peer: Peer) -> None:
        peer.request()
        if peer.number == 2:
            peer.send(OK)
            return
        peer.send(start)
        for endless in repeat(block):
            peer.send(endless)

    with (
        ScriptedServer(handle) as server,
        driven(tmp_path, "http_get", server.url, "--timeout", "3") as load_test,
    ):
        load_test.call()
        load_test.call()
        peak = load_test.peak_bytes
        results, err = load_test.end()
    assert err == ""
    assert error in results[0]["error"]
    assert summary(results[1:]) == [(200, 5, None)]
    assert peak < 80 << 20


@pytest.mark.parametrize("sent", [b"", OK[:10], OK[:-1]])
def test_a_response_that_stops(tmp_path: Path, sent: bytes) -> None:
    """The timeout ends it, and so does the end of the connection."""
    error = "timeout within the response" if sent else "timeout without a response"

    def handle(peer: Peer) -> None:
        peer.request()
        peer.send(sent)
        if peer.number == 1:
            peer.read()

    with (
        ScriptedServer(handle) as server,
        driven(tmp_path, "http_get", server.url, "--timeout", "1") as load_test,
    ):
        load_test.call()
        load_test.call()
        results, _ = load_test.end()
    assert results[0]["error"] == error
    assert results[1]["error"].startswith("the connection was closed")
    assert [(one["status"], one["size"]) for one in results] == [(0, -1)] * 2


def test_a_target_that_refuses(tmp_path: Path) -> None:
    """Each request is an error with a text that does not differ."""
    port = free_port()
    with driven(tmp_path, "http_get", f"http://127.0.0.1:{port}/") as load_test:
        assert load_test.call(10) == []
        results, err = load_test.end()
    assert err == ""
    refused = f"no connection to 127.0.0.1:{port}: Connection refused"
    assert summary(results) == [(0, -1, refused)] * 10


def test_descriptors_are_closed(tmp_path: Path) -> None:
    """Failed requests leave none."""
    with (
        ScriptedServer(respond(b"SSH-2.0-x\r\n")) as server,
        driven(tmp_path, "http_get", server.url) as load_test,
    ):
        load_test.call(20)
        before = load_test.descriptors
        for _ in range(10):
            load_test.call(20)
        assert load_test.descriptors < before + 40  # those of the last calls may be closing
        results, _ = load_test.end()
    assert len(results) == 220


def test_requests_in_flight_at_the_end(tmp_path: Path) -> None:
    """They are results too: the target may have served them."""
    served = threading.Semaphore(0)

    def handle(peer: Peer) -> None:
        peer.request()
        served.release()
        peer.read()

    with ScriptedServer(handle) as server, driven(tmp_path, "http_get", server.url) as load_test:
        load_test.start(3)
        for _ in range(3):
            assert served.acquire(timeout=TIMEOUT_SECONDS)
        results, _ = load_test.end()
    assert summary(results) == [(0, -1, "the load test ended before the response")] * 3


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["localhost:8000"], "not a URL such as http://localhost:8000/: localhost:8000\n"),
        (["http://name.invalid/"], "no address of name.invalid: "),
        (["http://a/", "--data", "@missing"], "missing"),
        (["http://127.0.0.1/", "--timeout", "0"], "--timeout 0: must be over 0 seconds\n"),
        (["http://127.0.0.1/", "--header", "x"], "--header 'x': it must be like"),
    ],
)
def test_wrong_arguments(tmp_path: Path, arguments: list[str], sentence: str) -> None:
    """The load test does not start, with one sentence."""
    with launch(tmp_path, "http_get", *arguments) as process:
        _, err = process.communicate(timeout=TIMEOUT_SECONDS)
    assert process.returncode == 2
    assert (tmp_path / "stdout").read_bytes() == b""
    assert sentence in err.decode()
    assert err.count(b"\n") == 1
