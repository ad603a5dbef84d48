"""A backend over HTTP that keeps the requests it gets, and answers as the test chooses."""

from __future__ import annotations

import gzip
from typing import Any

import attrs
from twisted.internet import reactor
from twisted.internet.defer import maybeDeferred
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site


@attrs.frozen
class Received:
    """A request; `raw` is its body as it was sent."""

    path: str
    headers: dict[str, str]
    raw: bytes = attrs.field(repr=False)

    @property
    def body(self) -> bytes:
        """The body without its encoding."""
        is_gzip = self.headers.get("content-encoding") == "gzip"
        return gzip.decompress(self.raw) if is_gzip else self.raw


class HttpBackend(Resource):
    """Listens on a free port of 127.0.0.1, with TLS if it has a certificate.

    Args:
        certificate: an object whose `options()` is the context of a server.
    """

    def __init__(self, certificate: Any = None) -> None:
        super().__init__()
        self.isLeaf = True
        self.requests: list[Received] = []
        self.status = 204
        self.text = b""
        self.headers: dict[str, str] = {}
        self.silent = False  # without an answer to any request
        site = Site(self)
        site.noisy = False
        if certificate is None:
            self._port = reactor.listenTCP(0, site, interface="127.0.0.1")
        else:
            context = certificate.options()
            self._port = reactor.listenSSL(0, site, context, interface="127.0.0.1")
        self.port = self._port.getHost().port
        self.url = f"http{'' if certificate is None else 's'}://127.0.0.1:{self.port}"

    def render_POST(self, request: Request) -> Any:
        """Keep a request and answer it."""
        headers = {
            name.decode().lower(): values[0].decode()
            for name, values in request.requestHeaders.getAllRawHeaders()
        }
        self.requests.append(Received(request.uri.decode(), headers, request.content.read()))
        if self.silent:
            return NOT_DONE_YET
        request.setResponseCode(self.status)
        for name, value in self.headers.items():
            request.setHeader(name, value)
        return b"" if self.status == 204 else self.text

    async def close(self) -> None:
        """Stop listening."""
        await maybeDeferred(self._port.stopListening)
