"""The HTTP client of one collector: its connections, which are kept between requests, but not long.

A connection that the collector will close is not kept, and none is older than
`MAX_CONNECTION_SECONDS`, so that a change of a name's addresses is followed while the connection
is busy. A request on a kept connection that ends before any byte of an answer is sent once more,
on a new one: the collector closed it, and the request has a key by which a repeat is recognised.
"""

from __future__ import annotations

from collections.abc import Callable
from http.cookiejar import CookieJar, DefaultCookiePolicy

from treq.client import HTTPClient
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint
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

from goloagent.outputs.http.dialer import Dialer

MAX_CONNECTION_SECONDS = 300.0


@implementer(IAgent, IAgentEndpointFactory)
class Client:
    """Sends requests over connections that `dialer` opens, whatever host their URI names.

    Args:
        absolute: a proxy is at the far end, which wants the whole URI in the request line.
    """

    def __init__(self, reactor: IReactorTime, dialer: Dialer, absolute: bool = False) -> None:
        self._reactor = reactor
        self._dialer = dialer
        self._absolute = absolute
        self._pool = HTTPConnectionPool(reactor)
        self._renew()

    def treq(self) -> HTTPClient:
        """Return an interface to it that keeps no cookies."""
        no_cookies = CookieJar(DefaultCookiePolicy(allowed_domains=[]))
        # What treq asks for is a class of its own that it does not export.
        return HTTPClient(self, cookiejar=no_cookies)  # type: ignore[arg-type]

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,
    ) -> Deferred[IResponse]:
        """Send a request; `bodyProducer` may be started twice.

        One that is cancelled fails with CancelledError, whatever its connection then reports.
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
        """Return what opens a connection."""
        return self._dialer

    def close(self) -> Deferred[None]:
        """Close the connections that are kept."""
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
            self._renew()
        opened = self._dialer.opened
        try:
            response = await self._agent.request(method, uri, headers, body)
        except (ResponseNeverReceived, RequestTransmissionFailed):
            if is_cancelled() or self._dialer.opened != opened:
                raise
            self._renew()
            response = await self._agent.request(method, uri, headers, body)
        if response.version < (b"HTTP", 1, 1) and self._pool.persistent:
            # It closes each connection, without saying so as HTTP/1.1 does.
            self._renew(persistent=False)
        return response

    def _renew(self, persistent: bool = True) -> None:
        """Let the next request open a connection; one that is in use is closed when it is idle."""
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
