"""HTTP servers on free ports of 127.0.0.1."""

from __future__ import annotations

from typing import Any

from twisted.internet import defer, task
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

BODY = b"the target's answer\n"


class _Server(Resource):
    """A server that handles every path itself; `url` and `port` are set while it listens."""

    def __init__(self, reactor: Any) -> None:
        super().__init__()
        self.isLeaf = True
        self._reactor = reactor

    def open(self) -> None:
        """Listen on a free port."""
        self._port = self._reactor.listenTCP(0, Site(self), interface="127.0.0.1", backlog=1024)
        self.port = self._port.getHost().port
        self.url = f"http://127.0.0.1:{self.port}/"

    async def close(self) -> None:
        """Stop listening."""
        await defer.maybeDeferred(self._port.stopListening)


class OtherSite(_Server):
    """Another web site, from whose page a test attacks the agent."""

    def render_GET(self, request: Request) -> bytes:
        request.setHeader("Content-Type", "text/html")
        return b"<!doctype html><title>another site</title>"


class Target(_Server):
    """Responds to every GET of load tests after `delay_seconds`, and counts them in `served`.

    Attributes:
        together: it responds to none before so many have come.
    """

    def __init__(self, reactor: Any) -> None:
        super().__init__(reactor)
        self.delay_seconds = 0.0
        self.served = 0
        self.body = BODY
        self.together = 0
        self._waiting: list[Request] = []

    def render_GET(self, request: Request) -> bytes | int:
        self.served += 1
        if self.served <= self.together:
            self._waiting.append(request)
            if self.served == self.together:
                for waiting in self._waiting:
                    self._answer(waiting)
            return NOT_DONE_YET
        if not self.delay_seconds:
            return BODY
        task.deferLater(self._reactor, self.delay_seconds, self._answer, request)
        return NOT_DONE_YET

    def _answer(self, request: Request) -> None:
        if not request._disconnected:
            request.write(BODY)
            request.finish()
