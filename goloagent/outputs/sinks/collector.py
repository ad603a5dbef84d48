"""The collector at the other end of HTTP: pushes one batch and returns what became of it.

Every push ends, and no end but a cancellation is an exception: what the network does is an
`Response` too. An answer's status counts from its headers on; redirects and cookies are not for us.
Decides nothing about it.
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
from twisted.python.failure import Failure
from twisted.web.client import RequestTransmissionFailed, ResponseFailed
from twisted.web.http_headers import Headers
from twisted.web.iweb import IBodyProducer
from zope.interface import implementer

from goloagent.core.address import HttpUrl, bracketed
from goloagent.outputs.http.client import Client
from goloagent.outputs.http.dialer import CONNECT_SECONDS, Dialer, Tunnel, Vet, quiet_factory
from goloagent.outputs.http.errors import in_words, is_certificate
from goloagent.outputs.http.proxy import Proxy
from goloagent.outputs.http.tls import Tls
from goloagent.outputs.http.token import TokenFile
from goloagent.outputs.retry import Disposition, Response, classify

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

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "_http", self.client.treq())

    async def send(self, name: str, key: str, body: bytes) -> Response:
        """Send the JSON array `body` as results of `name`; `key` lets a repeat be recognised."""
        asking = self._http.post(
            _address(self.url, name),
            data=_Body(body),
            headers=self._headers(key),
            allow_redirects=False,
            unbuffered=True,
        )
        try:
            response = await asking.addTimeout(PUSH_SECONDS, self.clock, _late)
        except CancelledError:
            raise
        except Exception as error:
            return _no_answer(error)
        text = _BodyPrefix()
        response.deliverBody(text)
        # The status has decided: what the rest of the answer does changes nothing.
        limit = self.clock.callLater(ANSWER_SECONDS, text.hang_up)
        try:
            await text.over
        except CancelledError:
            text.hang_up()
            raise
        finally:
            if limit.active():
                limit.cancel()
        answer = Response(
            status=response.code,
            text=text.received.decode("utf-8", "replace"),
        )
        if classify(answer) is not Disposition.RETRY:
            return answer
        return attrs.evolve(answer, retry_after=_retry_after(response.headers))

    async def check(self) -> str | None:
        """Connect and close; return None if that worked, else why not. Sends no results."""
        connecting = self.dialer.connect(quiet_factory(Protocol))
        try:
            protocol = await connecting.addTimeout(CONNECT_SECONDS, self.clock, _late)
        except CancelledError:
            raise
        except Exception as error:
            return in_words(error)
        protocol.transport.abortConnection()  # type: ignore[attr-defined]
        return None

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
    vet: Vet | None = None,
) -> CollectorSink:
    """Return the collector at `url`, reached by `proxy` if there is one."""
    first = url if proxy is None else proxy.url
    dialer = Dialer(reactor, first.host, first.port)
    if vet is not None:
        dialer.vet = vet
    if proxy is not None and proxy.url.scheme == "https":
        # What is configured for the collector is not for the proxy.
        dialer.proxy_tls = Tls().creator(proxy.url.host)
    if url.scheme == "https":
        dialer.tls = tls.creator(url.host)
        if proxy is not None:
            host = bracketed(url.host.partition("%")[0])
            dialer.tunnel = Tunnel(f"{host}:{url.port}", proxy.authorization)
    absolute = proxy is not None and url.scheme == "http"
    return CollectorSink(url, reactor, dialer, Client(reactor, dialer, absolute), proxy, token)


class _Uri(URL):
    """A URL without anything that a URI cannot have: treq must not convert it once more."""

    def to_uri(self) -> _Uri:
        return self


@lru_cache(maxsize=16)
def _address(collector: HttpUrl, name: str) -> URL:
    """Return where results of `name` are pushed to."""
    return _Uri.from_text(f"{collector.to_uri()}/push/{name}")


def _late(_: object, seconds: float) -> NoReturn:
    raise TimeoutError(f"no answer within {seconds:g} s")


@implementer(IBodyProducer)
class _Body:
    """A body handed over at once, so that an answer which does not wait for it is heard."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self.length = len(body)

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        consumer.write(self._body)
        return succeed(None)

    def pauseProducing(self) -> None:
        """Do nothing: everything is produced."""

    def resumeProducing(self) -> None:
        """Do nothing: everything is produced."""

    def stopProducing(self) -> None:
        """Do nothing: everything is produced."""


class _BodyPrefix(Protocol):
    """Reads an answer's body as far as it may matter; drops one that is longer or stalls."""

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

    def hang_up(self) -> None:
        """Read no more of it."""
        if not self.over.called:
            self.over.callback(None)
        self.transport.loseConnection()


def _retry_after(headers: Headers) -> float | None:
    """Return the seconds that an answer asks to wait; its own clock decides what a date means."""
    # Bytes: what a peer sends need not be text.
    text = headers.getRawHeaders(b"Retry-After", [b""])[0]
    if text.isdigit():
        return float(text)
    date = headers.getRawHeaders(b"Date", [b""])[0]
    try:
        sent, then = (parsedate_to_datetime(one.decode("ascii")) for one in (date, text))
        return max(0.0, (then - sent).total_seconds())
    except (ArithmeticError, IndexError, TypeError, ValueError):
        return None


def _no_answer(error: Exception) -> Response:
    """Return what became of a push that was not answered."""
    return Response(
        error=in_words(error),
        certificate=is_certificate(error),
        timed_out=isinstance(error, TimeoutError),
        cut=isinstance(error, RequestTransmissionFailed | ResponseFailed),
    )
