"""The HTTP server that load tests send requests to."""

from __future__ import annotations

from typing import Any

from twisted.internet import defer, task
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

BODY = b"the target's answer\n"


class Target(Resource):
    """Responds to every GET after `delay_seconds`, and counts requests in `served`."""

    def __init__(self, reactor: Any) -> None:
        super().__init__()
        self.isLeaf = True
        self._reactor = reactor
        self.delay_seconds = 0.0
        self.served = 0

    def open(self) -> None:
        """Listen on a free port of 127.0.0.1; `url` is its URL."""
        self._port = self._reactor.listenTCP(0, Site(self), interface="127.0.0.1", backlog=1024)
        self.url = f"http://127.0.0.1:{self._port.getHost().port}/"

    async def close(self) -> None:
        """Stop listening."""
        await defer.maybeDeferred(self._port.stopListening)

    def render_GET(self, request: Request) -> bytes | int:
        self.served += 1
        if not self.delay_seconds:
            return BODY
        task.deferLater(self._reactor, self.delay_seconds, self._answer, request)
        return NOT_DONE_YET

    def _answer(self, request: Request) -> None:
        if not request._disconnected:
            request.write(BODY)
            request.finish()
