"""Connections to a collector are reused, and replaced when the collector closes them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
import pytest_twisted
from peers.certificate import self_signed
from peers.proxy import Proxy
from peers.scripted_collector import NO_CONTENT, Pusher, Server
from twisted.internet import reactor
from twisted.internet.ssl import PrivateCertificate

from goloagent.core.address import HttpUrl
from goloagent.outputs.sink import Response
from goloagent.transport import proxy as proxies

TAKEN = Response(status=200)


@pytest_twisted.async_yield_fixture
async def server() -> AsyncIterator[Server]:
    """Run a collector over TCP."""
    server = Server(reactor)
    yield server
    await server.close()


@pytest_twisted.async_yield_fixture
async def pusher() -> AsyncIterator[Pusher]:
    """Return a client."""
    pusher = Pusher(reactor)
    yield pusher
    await pusher.close()


class Handler(BaseHTTPRequestHandler):
    """Accepts every push with the protocol version of `http.server`."""

    def do_POST(self) -> None:
        """Read the batch and respond."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def http_10() -> Iterator[str]:
    """Run Python's own HTTP server, which speaks HTTP/1.0."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


async def test_every_push_to_an_http_10_collector_is_taken(http_10: str, pusher: Pusher) -> None:
    """With HTTP/1.0 each push has its own connection."""
    answers = [await pusher.push(http_10) for _ in range(20)]
    assert answers == [TAKEN] * 20
    assert pusher.collector(http_10).poster.dialer.opened == 20


@pytest.mark.parametrize("head", [b"", b"Connection: close\r\n", b"Connection: Close\r\n"])
async def test_every_push_to_a_collector_that_closes_is_taken(
    server: Server, pusher: Pusher, head: bytes
) -> None:
    """A push on a connection that was closed, announced or not, is resent at once."""

    def answer_and_close(peer: Any) -> None:
        peer.transport.write(b"HTTP/1.1 200 OK\r\n" + head + b"Content-Length: 0\r\n\r\n")
        peer.transport.loseConnection()

    server.script = answer_and_close
    for _ in range(20):
        assert await pusher.push(server.url) == TAKEN


async def test_a_reused_connection_that_is_closed_costs_no_retry(
    server: Server, pusher: Pusher
) -> None:
    """After a restart of the collector the next push uses a new connection."""
    assert await pusher.push(server.url) == TAKEN
    server.script = lambda peer: peer.transport.abortConnection()
    pushed = pusher.push(server.url)
    await server.until(lambda: len(server.requests) == 2)
    server.script = lambda peer: peer.transport.write(NO_CONTENT)
    assert await pushed == TAKEN
    assert len(server.requests) == 3


async def test_a_new_connection_that_is_closed_fails(server: Server, pusher: Pusher) -> None:
    """A push is resent at once only once; a failure on a new connection is a failure."""
    assert await pusher.push(server.url) == TAKEN
    server.script = lambda peer: peer.transport.abortConnection()
    assert (await pusher.push(server.url)).status is None
    assert len(server.requests) == 3
    assert (await pusher.push(server.url)).status is None
    assert len(server.requests) == 4


async def test_a_connection_closed_within_a_response_fails(server: Server, pusher: Pusher) -> None:
    """A push is not resent at once if a part of a response was received."""
    assert await pusher.push(server.url) == TAKEN

    def half(peer: Any) -> None:
        peer.transport.write(b"HTTP/1.1 200 O")
        peer.transport.loseConnection()

    server.script = half
    assert await pusher.push(server.url) == Response(
        error="the connection was closed in the middle of the answer", cut=True
    )
    assert len(server.requests) == 2


def through(proxy: Proxy, url: str, scheme: str = "http", userinfo: str = "") -> Pusher:
    """Return a client that reaches `url` through a proxy, and accepts any certificate."""
    variable = f"{url.partition(':')[0].upper()}_PROXY"
    found = proxies.find(HttpUrl.parse(url), {variable: f"{scheme}://{userinfo}{proxy.address}"})
    assert found is not None
    return Pusher(reactor, insecure=True, proxy=found)


@pytest_twisted.async_yield_fixture
async def proxy() -> AsyncIterator[Proxy]:
    """Run a proxy."""
    proxy = Proxy(reactor)
    yield proxy
    await proxy.close()


@pytest_twisted.async_yield_fixture
async def tls_server() -> AsyncIterator[Server]:
    """Run a collector over TLS."""
    server = Server(reactor, PrivateCertificate.loadPEM(self_signed("127.0.0.1")))
    yield server
    await server.close()


async def test_an_http_collector_through_a_proxy(server: Server, proxy: Proxy) -> None:
    """For http the proxy gets the absolute URI and its password, and the connection is reused."""
    url = f"http://c.example:{server.port}/in"
    pusher = through(proxy, url, userinfo="me:secret@")
    assert [await pusher.push(url) for _ in range(2)] == [TAKEN] * 2
    [head] = proxy.requests
    assert head[0] == f"POST {url}/push/shop HTTP/1.1"
    assert f"Host: c.example:{server.port}" in head
    assert "Proxy-Authorization: Basic bWU6c2VjcmV0" in head
    assert len(server.requests) == 2
    await pusher.close()


async def test_an_https_collector_through_a_tunnel(tls_server: Server, proxy: Proxy) -> None:
    """For https the proxy gets CONNECT with its password, and the collector gets neither."""
    url = f"https://c.example:{tls_server.port}"
    pusher = through(proxy, url, userinfo="me:secret@")
    assert [await pusher.push(url) for _ in range(2)] == [TAKEN] * 2
    [head] = proxy.requests
    assert head[0] == f"CONNECT c.example:{tls_server.port} HTTP/1.1"
    assert "Proxy-Authorization: Basic bWU6c2VjcmV0" in head
    assert len(tls_server.requests) == 2
    assert b"POST /push/shop HTTP/1.1" in tls_server.requests[0]
    assert b"Proxy" not in b"".join(tls_server.requests)
    await pusher.close()


async def test_a_proxy_over_tls(
    server: Server, tls_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An https proxy is connected to by TLS, which may contain TLS to the collector."""
    certificate = PrivateCertificate.loadPEM(self_signed("127.0.0.1"))
    proxy = Proxy(reactor, certificate)
    monkeypatch.setattr("twisted.internet._sslverify.platformTrust", lambda: certificate)
    for peer in (server, tls_server):
        url = peer.url.replace("127.0.0.1", "c.example")
        pusher = through(proxy, url, scheme="https")
        assert await pusher.push(url) == TAKEN
        assert len(peer.requests) == 1
        await pusher.close()
    assert len(proxy.requests) == 2
    await proxy.close()


@pytest.mark.parametrize(
    ("refusal", "scheme"), [("407 Authenticate", "http"), ("403 Forbidden", "https")]
)
async def test_a_proxy_that_refuses_is_named(
    proxy: Proxy, refusal: str, scheme: str, server: Server
) -> None:
    """A refusal of the proxy is the response for http, and a failure for https."""
    proxy.refusal = refusal
    url = f"{scheme}://c.example:{server.port}"
    pusher = through(proxy, url)
    answer = await pusher.push(url)
    if scheme == "http":
        assert answer.status == 407
    else:
        assert f"the proxy answered {refusal} to CONNECT c.example" in str(answer)
    assert server.requests == []
    await pusher.close()
