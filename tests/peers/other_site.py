"""Another web site, from whose page a test attacks the agent."""

from __future__ import annotations

from typing import Any

from twisted.internet import defer
from twisted.web.resource import Resource
from twisted.web.server import Request, Site


class ForeignSite(Resource):
    """Serves one page on a free port of 127.0.0.1."""

    def __init__(self, reactor: Any) -> None:
        super().__init__()
        self.isLeaf = True
        self._reactor = reactor

    def open(self) -> None:
        """Listen; `port` is the port."""
        self._listening = self._reactor.listenTCP(0, Site(self), interface="127.0.0.1")
        self.port = self._listening.getHost().port

    async def close(self) -> None:
        """Stop listening."""
        await defer.maybeDeferred(self._listening.stopListening)

    def render_GET(self, request: Request) -> bytes:
        request.setHeader("Content-Type", "text/html")
        return b"<!doctype html><title>another site</title>"
