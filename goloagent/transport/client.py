"""An HTTP client of one server, with persistent connections.

A connection is replaced after `MAX_CONNECTION_SECONDS`, so that changes of the name's addresses are
followed. A request that fails on an idle connection before any byte of a response is sent once more
on a new one, because the server has closed it; such a repeat must do no harm.
"""

from __future__ import annotations

from collections.abc import Callable
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Protocol, cast

from treq.client import HTTPClient
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.internet.interfaces import (
    IProtocol,
    IProtocolFactory,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.python.failure import Failure
from twisted.web.client import (
    URI,
    Agent,
    HTTPConnectionPool,
    ProxyAgent,
    RequestTransmissionFailed,
    ResponseNeverReceived,
)
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IAgentEndpointFactory, IBodyProducer, IResponse
from zope.interface import implementer

from goloagent.core.address import HttpUrl, bracketed
from goloagent.transport.dialer import Dialer
from goloagent.transport.proxy import Proxy
from goloagent.transport.tls import Tls
from goloagent.transport.tunnel import Tunnel

MAX_CONNECTION_SECONDS = 300.0


class CountingEndpoint(Protocol):
    """An endpoint that counts the connections it has made, or begun to make, in `opened`."""

    @property
    def opened(self) -> int:
        """The number of connections."""

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Connect a protocol."""


@implementer(IAgent, IAgentEndpointFactory)
class Client:
    """Sends requests over connections that `dialer` opens, whatever host their URI names.

    Args:
        absolute: the request line has the whole URI, for a proxy.
    """

    def __init__(
        self, reactor: IReactorTime, dialer: CountingEndpoint, absolute: bool = False
    ) -> None:
        self._reactor = reactor
        self._dialer = dialer
        self._absolute = absolute
        self._pool = HTTPConnectionPool(reactor)
        self.renew()

    def treq(self) -> HTTPClient:
        """Return its treq interface, which stores no cookies."""
        no_cookies = CookieJar(DefaultCookiePolicy(allowed_domains=[]))
        # treq's type of the agent is a class that it does not export.
        return HTTPClient(self, cookiejar=no_cookies)  # type: ignore[arg-type]

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,
    ) -> Deferred[IResponse]:
        """Send a request; `bodyProducer` may be started twice.

        A cancelled request fails with CancelledError, whatever its connection reports then.
        """
        cancelled = False

        def cancel(outcome: Deferred[IResponse]) -> None:
            nonlocal cancelled
            cancelled = True
            outcome.errback(CancelledError())
            working.cancel()

        def end(result: IResponse | Failure) -> None:
            if not cancelled:
                outcome.callback(result)

        outcome: Deferred[IResponse] = Deferred(cancel)
        working = ensureDeferred(
            self._request(method, uri, headers, bodyProducer, lambda: cancelled)
        )
        working.addBoth(end)
        return outcome

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        """Return the dialer."""
        return cast(IStreamClientEndpoint, self._dialer)

    def close(self) -> Deferred[None]:
        """Close the idle connections."""
        closed: Deferred[None] = self._pool.closeCachedConnections()
        return closed

    async def _request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None,
        body: IBodyProducer | None,
        is_cancelled: Callable[[], bool],
    ) -> IResponse:
        if self._reactor.seconds() - self._since >= MAX_CONNECTION_SECONDS:
            self.renew()
        opened = self._dialer.opened
        try:
            response = await self._agent.request(method, uri, headers, body)
        except (ResponseNeverReceived, RequestTransmissionFailed):
            if is_cancelled() or self._dialer.opened != opened:
                raise
            self.renew()
            response = await self._agent.request(method, uri, headers, body)
        if response.version < (b"HTTP", 1, 1) and self._pool.persistent:
            # HTTP/1.0 closes each connection without a header that says so.
            self.renew(persistent=False)
        return response

    def renew(self, persistent: bool = True) -> None:
        """Use new connections from now on; one in use is closed once it is idle."""
        self._pool.closeCachedConnections()
        self._pool.cachedConnectionTimeout = 0
        self._since = self._reactor.seconds()
        self._pool = HTTPConnectionPool(self._reactor, persistent=persistent)
        self._pool.retryAutomatically = False
        self._agent: IAgent = (
            ProxyAgent(self._dialer, self._reactor, self._pool)
            if self._absolute
            else Agent.usingEndpointFactory(self._reactor, self, self._pool)
        )


def make_client(
    reactor: IReactorTime, url: HttpUrl, tls: Tls, proxy: Proxy | None = None
) -> tuple[Dialer, Client]:
    """Return the client of the server at `url`, through `proxy` if there is one."""
    first = url if proxy is None else proxy.url
    dialer = Dialer(reactor, first.host, first.port)
    if proxy is not None and proxy.url.scheme == "https":
        # The options for certificates are for the server alone.
        dialer.proxy_tls = Tls().creator(proxy.url.host)
    if url.scheme == "https":
        dialer.tls = tls.creator(url.host)
        if proxy is not None:
            host = bracketed(url.host.partition("%")[0])
            dialer.tunnel = Tunnel(f"{host}:{url.port}", proxy.authorization)
    absolute = proxy is not None and url.scheme == "http"
    return dialer, Client(reactor, dialer, absolute)
