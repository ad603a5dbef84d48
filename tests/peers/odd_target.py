"""An HTTP server whose responses are correct in odd ways, or wrong."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import cycle
from typing import Any

import attrs
from twisted.internet import defer
from twisted.internet.protocol import Factory, Protocol


@attrs.frozen
class Odd:
    """A response; `size` is None if it is wrong, so that the request fails."""

    text: bytes
    status: int
    size: int | None
    closes: bool = False


_HEAD = b"HTTP/1.1 200 OK\r\n"
RESPONSES = (
    Odd(_HEAD + b"Content-Length: 5\r\n\r\nhello", 200, 5),
    Odd(_HEAD + b"CONTENT-LENGTH:5\r\nConnection: Close\r\n\r\nhello", 200, 5, closes=True),
    Odd(b"HTTP/1.0 200\r\n\r\nhello", 200, 5, closes=True),
    Odd(
        _HEAD
        + b"Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\nA;x=1\r\nlo, target\r\n0\r\nT: x\r\n\r\n",
        200,
        13,
    ),
    Odd(b"HTTP/1.1 204 No Content\r\n\r\n", 204, 0),
    Odd(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", 304, 0),
    Odd(b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n", 302, 0),
    Odd(b"HTTP/1.1 500 x\r\nContent-Length: 5\r\n\r\nsorry", 500, 5),
    Odd(b'hello "\\\x01\r\n\r\n', 0, None, closes=True),
    Odd(_HEAD + b"Content-Length: 50\r\n\r\nhello", 0, None, closes=True),
)
NO_RESPONSE = Odd(b"", 0, None, closes=True)


class OddTarget:
    """Gives `responses` in turn; `served` has those that were given."""

    def __init__(self, reactor: Any, responses: Iterable[Odd]) -> None:
        self._next = cycle(responses)
        self.served: list[Odd] = []
        factory = Factory.forProtocol(lambda: _Connection(self))
        self._port = reactor.listenTCP(0, factory, interface="127.0.0.1", backlog=1024)
        self.url = f"http://127.0.0.1:{self._port.getHost().port}/path?query=1"

    def serve(self) -> Odd:
        """Return the next response."""
        self.served.append(next(self._next))
        return self.served[-1]

    async def close(self) -> None:
        """Stop listening."""
        await defer.maybeDeferred(self._port.stopListening)


class _Connection(Protocol):
    def __init__(self, target: OddTarget) -> None:
        self._target = target
        self._request = b""

    def dataReceived(self, data: bytes) -> None:
        self._request += data
        if not self._request.endswith(b"\r\n\r\n"):
            return
        assert self._request.startswith(b"GET /path?query=1 HTTP/1.1\r\n"), self._request
        self._request = b""
        response = self._target.serve()
        self.transport.write(response.text)
        if response.closes:
            self.transport.loseConnection()
