"""A small HTTP/1.1 client for load: persistent connections in an asyncio loop, one request each.

A connection is used by one request at a time. It stays open for the next one, so that there are as
many connections as there were concurrent requests at most.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Sequence
from typing import NamedTuple

from goloagent.loadtests.http1 import InvalidResponse, ResponseParser


class Target(NamedTuple):
    """The server: its addresses, of which the first that accepts is used, and TLS or None."""

    addresses: Sequence[tuple[str, int]]
    tls: ssl.SSLContext | None
    server_name: str


class RequestFailed(Exception):
    """A request without a complete response, with the reason."""


class _Closed(RequestFailed):
    """The server closed the connection before the first byte of the response."""


class Connection(asyncio.Protocol):
    """One connection to the server."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._parser = ResponseParser()
        self._done: asyncio.Future[None] | None = None
        self._transport: asyncio.Transport
        self.is_open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport, self.is_open = transport, True

    async def exchange(self, request: bytes, parser: ResponseParser, deadline: float) -> None:
        """Send a request, and wait until `parser` has its response.

        Args:
            deadline: by the loop's clock.

        Raises:
            RequestFailed: there is no complete response.
        """
        self._parser = parser
        self._done = done = self._loop.create_future()
        self._transport.write(request)
        timer = self._loop.call_at(deadline, self._expire)
        try:
            await done
        finally:
            self._done = None
            timer.cancel()
            if not (parser.is_complete and parser.keeps_alive):
                self.close()

    def close(self) -> None:
        """Close it at once."""
        self.is_open = False
        self._transport.abort()

    def _expire(self) -> None:
        if self._done is not None and not self._done.done():
            part = "within the response" if self._parser.has_begun else "without a response"
            self._done.set_exception(RequestFailed(f"timeout {part}"))

    def data_received(self, data: bytes) -> None:
        """Parse a part of the response."""
        done = self._done
        if done is None or done.done():
            self.close()  # nothing was requested
            return
        try:
            self._parser.feed(data)
        except InvalidResponse as error:
            done.set_exception(RequestFailed(str(error)))
        else:
            if self._parser.is_complete:
                done.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        """End the response; some end with the connection."""
        self.is_open = False
        if self._done is None or self._done.done():
            return
        if error is None:
            try:
                self._parser.end()
            except InvalidResponse as violation:
                failure: type[RequestFailed] = RequestFailed if self._parser.has_begun else _Closed
                self._done.set_exception(failure(str(violation)))
            else:
                self._done.set_result(None)
        else:
            failure = RequestFailed if self._parser.has_begun else _Closed
            self._done.set_exception(failure(text_of(error)))


class HttpClient:
    """Sends one request repeatedly.

    Args:
        request: its bytes.
        expects_body: whether responses may have a body.
        may_repeat: whether it is idempotent, so that it is sent again if the server closed a
            connection that was open already.
        timeout_seconds: from its start to the end of its response.
    """

    def __init__(
        self,
        target: Target,
        request: bytes,
        expects_body: bool,
        may_repeat: bool,
        timeout_seconds: float,
    ) -> None:
        self._target = target
        self._request = request
        self._expects_body = expects_body
        self._may_repeat = may_repeat
        self._timeout_seconds = timeout_seconds
        self._idle: list[Connection] = []
        self._preferred = 0

    async def send(self) -> ResponseParser:
        """Send the request, and return its response.

        Raises:
            RequestFailed: there is no complete response.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._timeout_seconds
        parser = ResponseParser(self._expects_body)
        connection = self._pop_idle()
        if connection is not None:
            try:
                await connection.exchange(self._request, parser, deadline)
            except _Closed:
                if not self._may_repeat:
                    raise
                connection = None
        if connection is None:
            connection = await self._connect(loop, deadline)
            await connection.exchange(self._request, parser, deadline)
        if connection.is_open:
            self._idle.append(connection)
        return parser

    def _pop_idle(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open:
                return connection
        return None

    async def _connect(self, loop: asyncio.AbstractEventLoop, deadline: float) -> Connection:
        """Connect to the first address that accepts, from the one that did so last on."""
        target, failure = self._target, ""
        for _ in target.addresses:
            host, port = target.addresses[self._preferred]
            connecting = loop.create_connection(
                lambda: Connection(loop),
                host,
                port,
                ssl=target.tls,
                server_hostname=None if target.tls is None else target.server_name,
            )
            try:
                _, connection = await asyncio.wait_for(connecting, deadline - loop.time())
            except asyncio.TimeoutError:
                raise RequestFailed(f"timeout: no connection to {host}:{port}") from None
            except OSError as error:
                failure = f"no connection to {host}:{port}: {text_of(error)}"
                self._preferred = (self._preferred + 1) % len(target.addresses)
            else:
                return connection
        raise RequestFailed(failure)


def text_of(error: Exception) -> str:
    """Return the system's text of an error, in which no address differs between connections."""
    number = getattr(error, "errno", None)
    if isinstance(error, ssl.SSLError) or number is None:
        return str(error) or type(error).__name__
    return os.strerror(number)
