"""The sink that posts batches to a collector over HTTP.

Every push ends in bounded time. A response counts from its headers on; redirects are not followed,
and cookies are not stored.
"""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import NoReturn

import attrs
from hyperlink import URL
from treq.client import HTTPClient
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IConsumer, IReactorTime, ITransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.client import RequestTransmissionFailed, ResponseFailed
from twisted.web.http_headers import Headers
from twisted.web.iweb import IBodyProducer
from zope.interface import implementer

from goloagent.core.address import HttpUrl, bracketed
from goloagent.outputs.http.client import Client
from goloagent.outputs.http.dialer import CONNECT_SECONDS, Dialer, PeerCheck
from goloagent.outputs.http.errors import describe, is_certificate, is_unexpected
from goloagent.outputs.http.proxy import Proxy
from goloagent.outputs.http.stream import quiet_factory
from goloagent.outputs.http.tls import Tls
from goloagent.outputs.http.token import TokenFile
from goloagent.outputs.http.tunnel import Tunnel
from goloagent.outputs.sink import Disposition, Response

PUSH_SECONDS = 30.0
ANSWER_SECONDS = 2.0
MAX_ANSWER_BYTES = 64 * 1024


@attrs.frozen
class CollectorSink:
    """The collector at `url`, reached through `client`."""

    url: HttpUrl
    clock: IReactorTime
    dialer: Dialer
    client: Client
    proxy: Proxy | None = None
    token: TokenFile | None = None
    _http: HTTPClient = attrs.field(init=False)
    _logged: set[type[BaseException]] = attrs.field(init=False, factory=set)

    _log = Logger()

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "_http", self.client.treq())

    async def send(self, name: str, key: str, body: bytes) -> Response:
        """Post the JSON array `body` as results of `name`; `key` identifies a repeat."""
        request = self._http.post(
            _address(self.url, name),
            data=_Body(body),
            headers=self._headers(key),
            allow_redirects=False,
            unbuffered=True,
        )
        try:
            response = await request.addTimeout(PUSH_SECONDS, self.clock, _raise_timeout)
        except CancelledError:
            raise
        except Exception as error:
            return self._failed(error)
        text = _BodyPrefix()
        response.deliverBody(text)
        # The status decides, whatever happens to the body.
        limit = self.clock.callLater(ANSWER_SECONDS, text.close)
        try:
            await text.over
        except CancelledError:
            text.close()
            raise
        finally:
            if limit.active():
                limit.cancel()
        received = Response(status=response.code, text=text.received.decode("utf-8", "replace"))
        if received.disposition is not Disposition.RETRY:
            return received
        return attrs.evolve(received, retry_after=_retry_after(response.headers))

    async def check(self) -> str | None:
        """Connect and close, without a request; return None, or the reason for a failure."""
        connecting = self.dialer.connect(quiet_factory(Protocol))
        try:
            protocol = await connecting.addTimeout(CONNECT_SECONDS, self.clock, _raise_timeout)
        except CancelledError:
            raise
        except Exception as error:
            return describe(error)
        protocol.transport.abortConnection()  # type: ignore[attr-defined]
        return None

    def _failed(self, error: Exception) -> Response:
        """Return the response for a push without one; log a defect once, in an `except` block."""
        if is_unexpected(error) and type(error) not in self._logged:
            self._logged.add(type(error))
            self._log.failure("collector {url}: a push failed by a defect", url=self.url)
        return Response(
            error=describe(error),
            certificate=is_certificate(error),
            timed_out=isinstance(error, TimeoutError),
            cut=isinstance(error, RequestTransmissionFailed | ResponseFailed),
        )

    def _headers(self, key: str) -> Headers:
        headers = {
            "Host": [self.url.authority],
            "Content-Type": ["application/json"],
            "Idempotency-Key": [key],
        }
        if self.token is not None:
            headers["Authorization"] = [f"Bearer {self.token.token}"]
        if self.proxy is not None and self.url.scheme == "http" and self.proxy.authorization:
            headers["Proxy-Authorization"] = [self.proxy.authorization]
        return Headers(headers)


def make_collector_sink(
    reactor: IReactorTime,
    url: HttpUrl,
    tls: Tls,
    proxy: Proxy | None = None,
    token: TokenFile | None = None,
    check_peer: PeerCheck | None = None,
) -> CollectorSink:
    """Return the sink for the collector at `url`, through `proxy` if there is one."""
    first = url if proxy is None else proxy.url
    dialer = Dialer(reactor, first.host, first.port)
    if check_peer is not None:
        dialer.check_peer = check_peer
    if proxy is not None and proxy.url.scheme == "https":
        # The options for certificates are for the collector alone.
        dialer.proxy_tls = Tls().creator(proxy.url.host)
    if url.scheme == "https":
        dialer.tls = tls.creator(url.host)
        if proxy is not None:
            host = bracketed(url.host.partition("%")[0])
            dialer.tunnel = Tunnel(f"{host}:{url.port}", proxy.authorization)
    absolute = proxy is not None and url.scheme == "http"
    return CollectorSink(url, reactor, dialer, Client(reactor, dialer, absolute), proxy, token)


class _Uri(URL):
    """A URL that is a valid URI, which treq must not convert again."""

    def to_uri(self) -> _Uri:
        return self


@lru_cache(maxsize=16)
def _address(collector: HttpUrl, name: str) -> URL:
    """Return the URL for results of `name`."""
    return _Uri.from_text(f"{collector.to_uri()}/push/{name}")


def _raise_timeout(_: object, seconds: float) -> NoReturn:
    raise TimeoutError(f"no answer within {seconds:g} s")


@implementer(IBodyProducer)
class _Body:
    """A body written at once, so that a response that does not wait for it is received."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self.length = len(body)

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        consumer.write(self._body)
        return succeed(None)

    def pauseProducing(self) -> None:
        """Do nothing: the whole body is written."""

    def resumeProducing(self) -> None:
        """Do nothing: the whole body is written."""

    def stopProducing(self) -> None:
        """Do nothing: the whole body is written."""


class _BodyPrefix(Protocol):
    """Reads the beginning of a response's body, and drops one that is longer or stalls."""

    transport: ITransport

    def __init__(self) -> None:
        self.received = b""
        self.over: Deferred[None] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.received += data[: MAX_ANSWER_BYTES - len(self.received)]
        if len(self.received) == MAX_ANSWER_BYTES:
            self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if not self.over.called:
            self.over.callback(None)

    def close(self) -> None:
        """Stop reading."""
        if not self.over.called:
            self.over.callback(None)
        self.transport.loseConnection()


def _retry_after(headers: Headers) -> float | None:
    """Return the seconds that a response asks to wait; a date is relative to its own ``Date``."""
    # Bytes, because a peer may send any.
    text = headers.getRawHeaders(b"Retry-After", [b""])[0]
    if text.isdigit():
        return float(text)
    date = headers.getRawHeaders(b"Date", [b""])[0]
    try:
        sent, then = (parsedate_to_datetime(one.decode("ascii")) for one in (date, text))
        return max(0.0, (then - sent).total_seconds())
    except (ArithmeticError, IndexError, TypeError, ValueError):
        return None
