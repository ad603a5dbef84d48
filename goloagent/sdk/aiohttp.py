"""A session of the package aiohttp that reports every request by itself.

Use `ClientSession` in place of `aiohttp.ClientSession`. Each redirect is a request of its own. A
request is complete when its body has arrived or is closed, or with an exception, which is raised as
before.
"""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any
from weakref import WeakSet

from goloagent.sdk import server
from goloagent.sdk.exchange import Exchange

try:
    import aiohttp
except ModuleNotFoundError as missing:
    if missing.name != "aiohttp":
        raise
    raise ModuleNotFoundError(
        "goloagent.sdk.aiohttp needs the package aiohttp: add it with "
        "`golo pack SCRIPT --with aiohttp`, or install it for the Python of the load test",
        name=missing.name,
    ) from None

_sessions: WeakSet[aiohttp.ClientSession] = WeakSet()


def ClientSession(*args: Any, **more: Any) -> aiohttp.ClientSession:
    """Return an `aiohttp.ClientSession` that reports every request. Tasks may share it.

    Make it within a coroutine. One that is open when `serve` ends is closed.
    """
    trace = aiohttp.TraceConfig()
    trace.on_request_start.append(_started)
    trace.on_request_redirect.append(_redirected)
    trace.on_request_end.append(_responded)
    trace.on_request_exception.append(_failed)
    more["trace_configs"] = [*(more.get("trace_configs") or ()), trace]
    session = aiohttp.ClientSession(*args, **{"response_class": Response, **more})
    _sessions.add(session)
    return session


class Response(aiohttp.ClientResponse):
    """A response whose request is reported at the end of its body."""

    exchange: Exchange | None = None
    _reads = False

    async def read(self) -> bytes:
        """Read the body; see `aiohttp.ClientResponse.read`."""
        self._reads = True
        try:
            return await super().read()
        except BaseException as error:
            self.end(error)
            raise
        finally:
            self._reads = False

    def close(self) -> None:
        """Close the connection; see `aiohttp.ClientResponse.close`."""
        super().close()
        if not self._reads:
            self.end(sys.exc_info()[1])

    def release(self) -> Any:
        """Release the connection; see `aiohttp.ClientResponse.release`."""
        released = super().release()
        self.end(sys.exc_info()[1])
        return released

    def track(self, exchange: Exchange) -> None:
        """Report an exchange at the end of the body."""
        exchange.responded(self.status)
        self.exchange = exchange
        self.content.on_eof(self.end)

    def end(self, error: BaseException | None = None) -> None:
        """Report the request, unless it is reported."""
        if self.exchange is not None:
            content = self.content
            # Bytes on the network; before aiohttp 3.14 the decompressed bytes.
            self.exchange.size = getattr(content, "total_raw_bytes", content.total_bytes)
            self.exchange.end(error)


async def _started(
    _session: aiohttp.ClientSession,
    context: SimpleNamespace,
    start: aiohttp.TraceRequestStartParams,
) -> None:
    context.exchange = Exchange(start.method, str(start.url))


async def _redirected(
    _session: aiohttp.ClientSession,
    context: SimpleNamespace,
    redirect: aiohttp.TraceRequestRedirectParams,
) -> None:
    _responds(context.exchange, redirect.method, redirect.response)
    # Its URL follows with the next response or exception.
    context.exchange = Exchange("", "")


async def _responded(
    _session: aiohttp.ClientSession,
    context: SimpleNamespace,
    end: aiohttp.TraceRequestEndParams,
) -> None:
    _responds(context.exchange, end.method, end.response)


def _responds(exchange: Exchange, method: str, response: aiohttp.ClientResponse) -> None:
    exchange.method, exchange.url = method, str(response.url)
    if isinstance(response, Response) and response.status != 101:
        response.track(exchange)
    else:  # a WebSocket, or the caller's own class: the body is not counted
        exchange.status = response.status
        exchange.end()


async def _failed(
    _session: aiohttp.ClientSession,
    context: SimpleNamespace,
    failure: aiohttp.TraceRequestExceptionParams,
) -> None:
    exchange, error = context.exchange, failure.exception
    if not exchange.url:
        if isinstance(error, (aiohttp.TooManyRedirects, aiohttp.InvalidURL)):
            return  # the redirect is not followed
        exchange.method, exchange.url = failure.method, str(failure.url)
    if isinstance(error, aiohttp.ClientResponseError):
        exchange.status = error.status  # as of raise_for_status
    exchange.end(error)


async def _close() -> None:
    for session in list(_sessions):
        await session.close()


server.finalizers.append(_close)
