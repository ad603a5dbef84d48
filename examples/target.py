"""A small HTTP server to aim a load test at: ``python examples/target.py PORT [DELAY]``.

PORT 0 is any free one. The target responds to every ``GET`` with a few bytes after DELAY
milliseconds (0) and counts it. ``GET /served`` returns the count and is not counted.
"""

from __future__ import annotations

import sys

from twisted.internet import reactor, task
from twisted.internet.defer import CancelledError
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

BODY = b"hello from the target\n"


class Target(Resource):
    """Serve and count requests."""

    def __init__(self, delay_seconds: float = 0.0) -> None:
        super().__init__()
        self.delay_seconds = delay_seconds
        self.isLeaf = True
        self.served = 0

    def render_GET(self, request: Request) -> bytes | int:  # noqa: N802
        """Serve one request."""
        if request.path == b"/served":
            return str(self.served).encode()
        self.served += 1
        if not self.delay_seconds:
            return BODY
        late = task.deferLater(reactor, self.delay_seconds, request.write, BODY)
        request.notifyFinish().addErrback(lambda _: late.cancel())
        late.addCallbacks(lambda _: request.finish(), lambda failure: failure.trap(CancelledError))
        return NOT_DONE_YET


def main() -> None:
    """Listen, print the URL as the first line of stdout, and serve until SIGTERM."""
    delay_seconds = float(sys.argv[2]) / 1000 if len(sys.argv) > 2 else 0.0
    site = Site(Target(delay_seconds))
    port = reactor.listenTCP(int(sys.argv[1]), site, interface="127.0.0.1", backlog=1024)
    print(f"http://127.0.0.1:{port.getHost().port}", flush=True)
    reactor.run()


if __name__ == "__main__":
    main()
