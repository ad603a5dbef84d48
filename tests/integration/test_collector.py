"""Every push ends with a response or a failure, with any fault of the collector and the network."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_twisted
from peers.certificate import self_signed
from peers.scripted_collector import BODY, Pusher, Server
from twisted.internet import reactor
from twisted.internet.defer import CancelledError
from twisted.internet.ssl import PrivateCertificate

from goloagent.outputs.http import ANSWER_SECONDS, PUSH_SECONDS
from goloagent.outputs.http_body import MAX_ANSWER_BYTES
from goloagent.outputs.sink import Disposition, Response
from goloagent.results.parser import MAX_BODY_BYTES


@pytest.fixture
def certificate() -> PrivateCertificate:
    """Create a self-signed certificate."""
    return PrivateCertificate.loadPEM(self_signed("127.0.0.1"))


@pytest_twisted.async_yield_fixture
async def server() -> AsyncIterator[Server]:
    """Run a collector over TCP."""
    server = Server(reactor)
    yield server
    await server.close()


@pytest_twisted.async_yield_fixture
async def tls_server(certificate: PrivateCertificate) -> AsyncIterator[Server]:
    """Run a collector with a self-signed certificate."""
    server = Server(reactor, certificate)
    yield server
    await server.close()


@pytest_twisted.async_yield_fixture
async def pusher() -> AsyncIterator[Pusher]:
    """Return a client that verifies certificates."""
    pusher = Pusher(reactor)
    yield pusher
    await pusher.close()
    assert pusher.clock.getDelayedCalls() == []


@pytest_twisted.async_yield_fixture
async def insecure() -> AsyncIterator[Pusher]:
    """Return a client that accepts any certificate."""
    pusher = Pusher(reactor, insecure=True)
    yield pusher
    await pusher.close()
    assert pusher.clock.getDelayedCalls() == []


def responding(data: bytes) -> Callable[[Any], None]:
    """Send these bytes and leave the connection open."""
    return lambda peer: peer.transport.write(data)


def answer(status: int = 200, body: bytes = b"", *headers: bytes) -> bytes:
    """Return a whole response."""
    lines = [b"HTTP/1.1 %d x" % status, b"Content-Length: %d" % len(body), *headers, b"", body]
    return b"\r\n".join(lines)


async def test_the_request_of_a_push(server: Server, pusher: Pusher) -> None:
    """A push is a POST to /push/<name> with content type, key and body."""
    assert await pusher.push(server.url) == Response(status=200)
    [request] = server.requests
    head, _, body = request.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"POST /push/shop HTTP/1.1"
    assert {b"Content-Type: application/json", b"Idempotency-Key: job/0-9"} <= set(lines)
    assert b"Content-Length: %d" % len(BODY) in lines
    assert body == BODY


@pytest.mark.parametrize("base", ["/base", "/base/"])
async def test_a_collector_below_a_path(server: Server, pusher: Pusher, base: str) -> None:
    """The path of --collector is kept, with and without its final slash."""
    await pusher.push(server.url + base)
    assert server.requests[0].startswith(b"POST /base/push/shop HTTP/1.1\r\n")


async def test_pushes_share_a_connection(server: Server, pusher: Pusher) -> None:
    """Pushes reuse one connection."""
    for _ in range(5):
        await pusher.push(server.url)
    assert len(server.requests) == 5
    assert len(server.open) == 1


@pytest.mark.parametrize("status", [200, 204, 301, 302, 307, 400, 401, 422, 500, 503])
async def test_every_status_is_returned(server: Server, pusher: Pusher, status: int) -> None:
    """The status and the text are returned unchanged; a redirect is not followed."""
    body = b"" if status == 204 else b"because"
    server.script = responding(answer(status, body, b"Location: " + server.url.encode() + b"/else"))
    assert await pusher.push(server.url) == Response(status=status, text=body.decode())
    assert len(server.requests) == 1


DATE = b"Date: Fri, 02 Jan 2026 03:04:05 GMT"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ([b"Retry-After: 7"], 7.0),
        ([b"Retry-After: 0"], 0.0),
        ([b"Retry-After: " + b"9" * 400], float("inf")),
        ([b"Retry-After: Fri, 02 Jan 2026 03:05:05 GMT", DATE], 60.0),
        ([b"Retry-After: Fri, 02 Jan 2026 03:03:05 GMT", DATE], 0.0),
        ([b"Retry-After: Fri, 02 Jan 2026 03:05:05 GMT"], None),
        ([b"Retry-After: Fri, 02 Jan 2026 03:05:05 GMT", b"Date: x"], None),
        ([b"Retry-After: soon", DATE], None),
        ([b"Retry-After: -5"], None),
        ([b"Retry-After: 1.5"], None),
        ([b"Retry-After: \xc2\xb2"], None),
        ([b"Retry-After: \xff\xfe"], None),
        ([b"Retry-After:"], None),
        ([], None),
    ],
)
async def test_retry_after(
    server: Server, pusher: Pusher, headers: list[bytes], seconds: float | None
) -> None:
    """Retry-After may be seconds or a date by the response's clock; anything else is ignored."""
    server.script = responding(answer(503, b"", *headers))
    assert await pusher.push(server.url) == Response(status=503, retry_after=seconds)


async def test_a_long_response_is_read_to_64_kib(server: Server, pusher: Pusher) -> None:
    """An endless response costs 64 KiB and the connection; its status counts."""
    server.script = responding(b"HTTP/1.1 200 x\r\n\r\n" + b"y" * 10 * MAX_ANSWER_BYTES)
    result = await pusher.push(server.url)
    assert (result.status, len(result.text)) == (200, MAX_ANSWER_BYTES)
    await server.until(lambda: not server.open)


async def test_a_body_that_stalls_changes_nothing(server: Server, pusher: Pusher) -> None:
    """The status counts although the body stalls; the connection is closed after two seconds."""
    server.script = responding(b"HTTP/1.1 200 x\r\nContent-Length: 99\r\n\r\nhalf")
    pushed = pusher.push(server.url)
    await server.until(lambda: bool(server.requests))
    await until_headers(pusher)
    assert not pushed.called
    pusher.clock.advance(ANSWER_SECONDS)
    assert await pushed == Response(status=200, text="half")
    await server.until(lambda: not server.open)


async def test_a_body_that_is_cut_changes_nothing(server: Server, pusher: Pusher) -> None:
    """The status counts although the connection is lost within the body."""

    def cut(peer: Any) -> None:
        peer.transport.write(b"HTTP/1.1 422 x\r\nContent-Length: 99\r\n\r\nhalf")
        peer.transport.loseConnection()

    server.script = cut
    assert await pusher.push(server.url) == Response(status=422, text="half")


async def test_a_response_before_the_body_is_sent(server: Server, pusher: Pusher) -> None:
    """An early refusal by size counts although the collector closes the connection."""
    server.hasty = b"HTTP/1.1 413 x\r\nConnection: close\r\nContent-Length: 8\r\n\r\ntoo much"
    for _ in range(20):
        result = await pusher.push(server.url, body=bytes(MAX_BODY_BYTES))
        assert result.status == 413
        assert result.disposition is Disposition.SPLIT
    await server.until(lambda: not server.open)


async def until_headers(pusher: Pusher) -> None:
    """Wait until the timeout of the body replaces that of the push."""
    from twisted.internet.task import deferLater

    ends = pusher.clock.seconds() + ANSWER_SECONDS
    while [call.getTime() for call in pusher.clock.getDelayedCalls()] != [ends]:
        await deferLater(reactor, 0)


async def test_a_collector_that_hangs(server: Server, pusher: Pusher) -> None:
    """A push without a response fails after 30 s, and its connection is closed."""
    server.script = lambda peer: None
    pushed = pusher.push(server.url)
    await server.until(lambda: bool(server.requests))
    pusher.clock.advance(PUSH_SECONDS - 0.1)
    assert not pushed.called
    pusher.clock.advance(0.1)
    result = await pushed
    assert result.disposition is Disposition.RETRY
    assert result.error
    await server.until(lambda: not server.open)


@pytest.mark.parametrize("data", [b"", b"HTTP/1.1 200 O", b"HTTP/1.1 200 OK\r\nContent-Le"])
@pytest.mark.parametrize("how", ["loseConnection", "abortConnection"])
async def test_a_dropped_connection_is_retried(
    server: Server, pusher: Pusher, data: bytes, how: str
) -> None:
    """A connection that is lost before the headers are complete counts as no response."""

    def drop(peer: Any) -> None:
        peer.transport.write(data)
        getattr(peer.transport, how)()

    server.script = drop
    result = await pusher.push(server.url)
    assert result.disposition is Disposition.RETRY
    assert result.error
    assert len(server.requests) == 1


@pytest.mark.parametrize("data", [b"\x00\xff garbage\r\n\r\n", b"SSH-2.0-x\r\n", b"\r\n" * 9])
async def test_garbage_is_retried(server: Server, pusher: Pusher, data: bytes) -> None:
    """Data that is not HTTP counts as no response."""

    def send_garbage(peer: Any) -> None:
        peer.transport.write(data)
        peer.transport.loseConnection()

    server.script = send_garbage
    assert (await pusher.push(server.url)).disposition is Disposition.RETRY


async def test_a_refused_connection(server: Server, pusher: Pusher) -> None:
    """A refused connection counts as no response and has a reason."""
    await server.close()
    result = await pusher.push(server.url)
    assert result.disposition is Disposition.RETRY
    assert "refused" in str(result)


async def test_a_connection_that_died_while_idle_costs_one_retry(
    server: Server, pusher: Pusher
) -> None:
    """After a restart of the collector the next pushes succeed, each sent at most once more."""
    await pusher.push(server.url)
    server.open[0].transport.abortConnection()
    await server.until(lambda: not server.open)
    dispositions = [(await pusher.push(server.url)).disposition for _ in range(2)]
    assert dispositions[-1] is Disposition.DELIVERED
    assert len(server.requests) <= 3


async def test_a_cancelled_push(server: Server, pusher: Pusher) -> None:
    """A cancelled push ends at once and closes its connection."""
    server.script = lambda peer: None
    pushed = pusher.push(server.url)
    await server.until(lambda: bool(server.requests))
    pushed.cancel()
    assert pushed.called
    with pytest.raises(CancelledError):
        await pushed
    await server.until(lambda: not server.open)


async def test_a_certificate_that_does_not_verify(tls_server: Server, pusher: Pusher) -> None:
    """A self-signed certificate counts as a wrong setting; nothing is sent."""
    result = await pusher.push(tls_server.url)
    assert result.certificate
    assert result.disposition is Disposition.PAUSE
    assert "certificate verify failed" in str(result)
    assert tls_server.requests == []


async def test_insecure_accepts_any_certificate(tls_server: Server, insecure: Pusher) -> None:
    """--insecure accepts a certificate that does not verify."""
    assert await insecure.push(tls_server.url) == Response(status=200)
    assert tls_server.requests[0].endswith(BODY)


async def test_a_tls_body_that_stalls_is_dropped(tls_server: Server, insecure: Pusher) -> None:
    """A stalled response over TLS costs only its connection."""
    tls_server.script = responding(b"HTTP/1.1 200 x\r\nContent-Length: 99\r\n\r\nhalf")
    pushed = insecure.push(tls_server.url)
    await until_headers(insecure)
    insecure.clock.advance(ANSWER_SECONDS)
    assert await pushed == Response(status=200, text="half")
    await tls_server.until(lambda: not tls_server.open)


async def test_a_plain_server_at_a_tls_url(server: Server, pusher: Pusher) -> None:
    """https: with a server without TLS counts as a wrong setting."""
    pushed = pusher.push(server.url.replace("http:", "https:"))
    await server.until(lambda: bool(server.open))
    server.open[0].transport.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    assert (await pushed).disposition is Disposition.PAUSE
