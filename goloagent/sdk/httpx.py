"""Clients of the package httpx that report every request by themselves.

Use `Client` in place of `httpx.Client`, and `AsyncClient` in place of `httpx.AsyncClient`. Each
redirect is a request of its own. A request is complete when its body is read or closed, or with an
exception, which is raised as before.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any

from goloagent.sdk.exchange import Exchange

try:
    import httpx
except ModuleNotFoundError as missing:
    if missing.name != "httpx":
        raise
    raise ModuleNotFoundError(
        "goloagent.sdk.httpx needs the package httpx: add it with "
        "`golo pack SCRIPT --with httpx`, or install it for the Python of the load test",
        name=missing.name,
    ) from None


class Client(httpx.Client):
    """An `httpx.Client` that reports every request. Threads may share it."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        # httpx keeps the transports of its options and of the environment's proxies here; without
        # these attributes this is an `AttributeError`.
        self._transport: httpx.BaseTransport = Transport(self._transport)
        self._mounts: dict[Any, httpx.BaseTransport | None] = {
            pattern: None if transport is None else Transport(transport)
            for pattern, transport in self._mounts.items()
        }


class AsyncClient(httpx.AsyncClient):
    """An `httpx.AsyncClient` that reports every request. Tasks may share it."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._transport: httpx.AsyncBaseTransport = AsyncTransport(self._transport)
        self._mounts: dict[Any, httpx.AsyncBaseTransport | None] = {
            pattern: None if transport is None else AsyncTransport(transport)
            for pattern, transport in self._mounts.items()
        }


class Transport(httpx.BaseTransport):
    """Reports the requests of another transport."""

    def __init__(self, transport: httpx.BaseTransport) -> None:
        self._inner = transport

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request."""
        exchange = Exchange(request.method, str(request.url))
        try:
            response = self._inner.handle_request(request)
        except BaseException as error:
            exchange.end(error)
            raise
        if not _is_complete(response, exchange):
            assert isinstance(response.stream, httpx.SyncByteStream)
            response.stream = _Body(response.stream, exchange)
        return response

    def close(self) -> None:
        """Close the connections."""
        self._inner.close()


class AsyncTransport(httpx.AsyncBaseTransport):
    """Reports the requests of another transport."""

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self._inner = transport

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request."""
        exchange = Exchange(request.method, str(request.url))
        try:
            response = await self._inner.handle_async_request(request)
        except BaseException as error:
            exchange.end(error)
            raise
        if not _is_complete(response, exchange):
            assert isinstance(response.stream, httpx.AsyncByteStream)
            response.stream = _AsyncBody(response.stream, exchange)
        return response

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()


def _is_complete(response: httpx.Response, exchange: Exchange) -> bool:
    """Store the status; return whether the body is there already, as in tests, and reported."""
    exchange.responded(response.status_code)
    if response.is_closed:
        exchange.received(len(response.content))
        exchange.end()
    return response.is_closed


class _Body(httpx.SyncByteStream):
    def __init__(self, stream: httpx.SyncByteStream, exchange: Exchange) -> None:
        self._stream = stream
        self._exchange = exchange

    def __iter__(self) -> Iterator[bytes]:
        try:
            for chunk in self._stream:
                self._exchange.received(len(chunk))
                yield chunk
        except GeneratorExit:
            raise  # `close` follows
        except BaseException as error:
            self._exchange.end(error)
            raise
        self._exchange.end()

    def close(self) -> None:
        self._stream.close()
        self._exchange.end(sys.exc_info()[1])


class _AsyncBody(httpx.AsyncByteStream):
    def __init__(self, stream: httpx.AsyncByteStream, exchange: Exchange) -> None:
        self._stream = stream
        self._exchange = exchange

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._stream:
                self._exchange.received(len(chunk))
                yield chunk
        except GeneratorExit:
            raise  # `aclose` follows
        except BaseException as error:
            self._exchange.end(error)
            raise
        self._exchange.end()

    async def aclose(self) -> None:
        await self._stream.aclose()
        self._exchange.end(sys.exc_info()[1])
