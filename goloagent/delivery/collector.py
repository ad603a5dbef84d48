"""The collector at the other end of HTTP: pushes one batch and returns what became of it.

Every push ends, and no end is an exception: what the network does is an `Answer` too. An answer's
status counts from its headers on; redirects and cookies are not for us. Decides
nothing about it.
"""

from __future__ import annotations

from functools import lru_cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import NoReturn

import attrs
from hyperlink import URL
from OpenSSL.SSL import Connection
from OpenSSL.SSL import Error as TlsError
from service_identity import VerificationError
from treq.client import HTTPClient
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import (
    IConsumer,
    IOpenSSLClientConnectionCreator,
    IReactorTCP,
    IReactorTime,
    ITransport,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.ssl import CertificateOptions
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from twisted.web.client import (
    Agent,
    BrowserLikePolicyForHTTPS,
    HTTPConnectionPool,
    RequestTransmissionFailed,
    ResponseFailed,
)
from twisted.web.http import stringToDatetime
from twisted.web.http_headers import Headers
from twisted.web.iweb import IBodyProducer, IPolicyForHTTPS
from zope.interface import implementer

from goloagent.delivery.policy import Answer

CONNECT_SECONDS = 10.0
PUSH_SECONDS = 30.0
ANSWER_SECONDS = 2.0
MAX_ANSWER_BYTES = 64 * 1024


@attrs.frozen
class Collector:
    """The collector at `url`, reached through `http`, whose connections are their maker's."""

    url: URL
    http: HTTPClient
    clock: IReactorTime

    async def push(self, name: str, key: str, body: bytes) -> Answer:
        """Send the JSON array `body` as results of `name`; `key` lets a repeat be recognised."""
        asking = self.http.post(
            _address(self.url, name),
            data=_Body(body),
            headers=Headers({"Content-Type": ["application/json"], "Idempotency-Key": [key]}),
            allow_redirects=False,
            unbuffered=True,
        )
        try:
            response = await asking.addTimeout(PUSH_SECONDS, self.clock, _late)
        except Exception as error:
            return _no_answer(error)
        text = _Beginning()
        response.deliverBody(text)
        # The status has decided: what the rest of the answer does changes nothing.
        await text.over.addTimeout(ANSWER_SECONDS, self.clock)
        return Answer(
            status=response.code,
            retry_after=_retry_after(response.headers),
            text=text.received.decode("utf-8", "replace"),
        )


class _Uri(URL):
    """A URL without anything that a URI cannot have: treq need not look for it with each push."""

    def to_uri(self) -> _Uri:
        return self


@lru_cache(maxsize=16)
def _address(collector: URL, name: str) -> URL:
    """Return where results of `name` are pushed to."""
    return _Uri.from_text(collector.child("push", name).to_uri().to_text())


def _late(_: object, seconds: float) -> NoReturn:
    raise TimeoutError(f"none came within {seconds:g} s")


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


class _Beginning(Protocol):
    """Reads an answer's body as far as it may matter; drops one that is longer or stalls."""

    transport: ITransport

    def __init__(self) -> None:
        self.received = b""
        self.over: Deferred[None] = Deferred(self._hang_up)

    def dataReceived(self, data: bytes) -> None:
        self.received += data[: MAX_ANSWER_BYTES - len(self.received)]
        if len(self.received) == MAX_ANSWER_BYTES:
            self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if not self.over.called:
            self.over.callback(None)

    def _hang_up(self, over: Deferred[None]) -> None:
        over.callback(None)
        self.transport.loseConnection()


def _retry_after(headers: Headers) -> float | None:
    """Return the seconds that an answer asks to wait; its own clock decides what a date means."""
    # Bytes: what a peer sends need not be text.
    text = headers.getRawHeaders(b"Retry-After", [b""])[0]
    if text.isdigit():
        return float(text)
    try:
        sent, then = map(stringToDatetime, (headers.getRawHeaders(b"Date", [b""])[0], text))
        return max(0.0, float(then - sent))
    except (ValueError, IndexError):
        return None


def _no_answer(error: Exception) -> Answer:
    """Tell a wrong certificate, which waits for a person, from everything that passes by itself."""
    if isinstance(error, RequestTransmissionFailed | ResponseFailed):
        reasons: list[Failure] = error.reasons
    else:
        reasons = [Failure(error)]
    text = "; ".join(reason.getErrorMessage() for reason in reasons)
    return Answer(
        error=f"no answer: {text or type(error).__name__}",
        certificate=any(reason.check(TlsError, VerificationError) for reason in reasons),
    )


def http_client(reactor: IReactorTCP, insecure: bool) -> tuple[HTTPClient, HTTPConnectionPool]:
    """Return a client for collectors and the pool of its connections, to be closed at the end.

    Args:
        insecure: accept whatever certificate a collector shows.
    """
    pool = HTTPConnectionPool(reactor, persistent=True)
    agent = Agent(
        reactor,
        contextFactory=_AnyCertificate() if insecure else BrowserLikePolicyForHTTPS(),
        connectTimeout=CONNECT_SECONDS,
        pool=pool,
    )
    no_cookies = CookieJar(DefaultCookiePolicy(allowed_domains=[]))
    # What treq asks for is a class of its own that it does not export.
    return HTTPClient(agent, cookiejar=no_cookies), pool  # type: ignore[arg-type]


@implementer(IPolicyForHTTPS)
class _AnyCertificate:
    """TLS without a check of who answers."""

    def creatorForNetloc(self, hostname: bytes, port: int) -> IOpenSSLClientConnectionCreator:
        return _Unverified(hostname)


@implementer(IOpenSSLClientConnectionCreator)
@attrs.frozen
class _Unverified:
    hostname: bytes

    def clientConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> Connection:
        connection = Connection(CertificateOptions(verify=False).getContext(), None)
        connection.set_tlsext_host_name(self.hostname)
        return connection
